//! What a certificate says of its owner.

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_cert::Certificate as Parsed;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{
    BmpString, Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use x509_cert::der::{DateTime, Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The attributes of a name that have short names, as RabbitMQ writes them.
const SHORT_NAMES: [(ObjectIdentifier, &str); 18] = [
    (COMMON_NAME, "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "SN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "SERIALNUMBER"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "TITLE"),
    (ObjectIdentifier::new_unwrap("2.5.4.41"), "NAME"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "GIVENNAME"),
    (ObjectIdentifier::new_unwrap("2.5.4.43"), "INITIALS"),
    (ObjectIdentifier::new_unwrap("2.5.4.44"), "GENERATIONQUALIFIER"),
    (ObjectIdentifier::new_unwrap("2.5.4.46"), "DNQUALIFIER"),
    (ObjectIdentifier::new_unwrap("2.5.4.65"), "PSEUDONYM"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"), "UID"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"), "EMAILADDRESS"),
];

/// What a certificate says of its owner. Whether it may be believed is not its own to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as RabbitMQ writes it: `CN=alice,O=Example`.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// From when on it is good, in seconds since 1970.
    pub not_before: u64,
    /// Until when.
    pub not_after: u64,
    /// The owner's common name; the first, if there are several, and none where it is no text.
    pub common_name: Option<String>,
    /// The owner's other names: DNS names, e-mail addresses, URIs, IP addresses.
    pub alternative_names: Vec<String>,
}

/// The bytes are not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an X.509 certificate")]
pub struct InvalidCertificate;

impl Certificate {
    /// Reads a certificate in DER form.
    ///
    /// # Errors
    /// [`InvalidCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let parsed = Parsed::from_der(der).map_err(|_| InvalidCertificate)?;
        let body = parsed.tbs_certificate();
        let common_name = body.subject().iter().find(|attribute| attribute.oid == COMMON_NAME);
        Ok(Self {
            subject: distinguished_name(body.subject()),
            issuer: distinguished_name(body.issuer()),
            not_before: body.validity().not_before.to_unix_duration().as_secs(),
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            common_name: common_name.and_then(text),
            alternative_names: alternative_names(&parsed),
        })
    }

    /// When it is good, as RabbitMQ writes it: `2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z`.
    #[must_use]
    pub fn validity(&self) -> String {
        format!("{} - {}", shown_time(self.not_before), shown_time(self.not_after))
    }
}

/// A time in seconds since 1970 as certificates have it: `2026-01-01T00:00:00Z`.
pub fn shown_time(seconds: u64) -> String {
    let time = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds));
    // What a certificate can say ends with the year 9999.
    time.map_or_else(|_| "after 9999-12-31T23:59:59Z".to_owned(), |time| time.to_string())
}

/// The last attribute first, as in RFC 4514.
fn distinguished_name(name: &Name) -> String {
    let parts: Vec<&_> = name.iter_rdn().collect();
    let parts = parts.into_iter().rev();
    let parts = parts.map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"));
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue) -> String {
    let short = SHORT_NAMES.iter().find(|(oid, _)| *oid == attribute.oid);
    let mut text = short.map_or_else(|| attribute.oid.to_string(), |(_, name)| (*name).to_owned());
    text.push('=');
    match self::text(attribute) {
        Some(value) => escape_into(&mut text, &value),
        None => hexadecimal_into(&mut text, attribute),
    }
    text
}

/// RFC 4514: the characters that would be taken for the next part, and spaces at the ends.
fn escape_into(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (c == '#' && place == 0)
            || (c == ' ' && (place == 0 || place == last));
        if special {
            text.push('\\');
        }
        match c {
            '\0' => text.push_str("\\00"),
            c => text.push(c),
        }
    }
}

/// RFC 4514: `#` and the value's DER form. A text that begins so has its `#` escaped: they can't be taken for one
/// another.
fn hexadecimal_into(text: &mut String, attribute: &AttributeTypeAndValue) {
    text.push('#');
    for byte in attribute.value.to_der().unwrap_or_default() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// An attribute's text, if it is one.
fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = &attribute.value;
    match value.tag() {
        Tag::Utf8String => value.decode_as().map(|it: Utf8StringRef<'_>| it.to_string()).ok(),
        Tag::PrintableString => {
            value.decode_as().map(|it: PrintableStringRef<'_>| it.to_string()).ok()
        }
        Tag::Ia5String => value.decode_as().map(|it: Ia5StringRef<'_>| it.to_string()).ok(),
        Tag::TeletexString => value.decode_as().map(|it: TeletexStringRef<'_>| it.to_string()).ok(),
        Tag::BmpString => value.decode_as().map(|it: BmpString| it.to_string()).ok(),
        _ => None,
    }
}

fn alternative_names(certificate: &Parsed) -> Vec<String> {
    let Ok(Some((_, names))) = certificate.tbs_certificate().get_extension::<SubjectAltName>()
    else {
        return Vec::new();
    };
    names.0.iter().filter_map(general_name).collect()
}

fn general_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::Rfc822Name(name) => Some(name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn names_are_written_as_rabbitmq_writes_them() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "DE"),
            (DnType::LocalityName, "Some, City"),
            (DnType::OrganizationName, "Example \"Org\""),
            (DnType::CommonName, "alice"),
            (DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@example.org"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        let certificate = certificate(&params);
        let expected =
            r#"EMAILADDRESS=a@example.org,CN=alice,O=Example \"Org\",L=Some\, City,C=DE"#;
        assert_eq!(certificate.subject, expected);
        assert_eq!(certificate.issuer, expected);
        assert_eq!(certificate.common_name.as_deref(), Some("alice"));
    }

    #[test]
    fn alternative_names_come_in_their_order() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![
            SanType::DnsName("alice.example.org".try_into().unwrap()),
            SanType::Rfc822Name("alice@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example.org/alice".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("::1".parse().unwrap()),
        ];
        let certificate = certificate(&params);
        assert_eq!(
            certificate.alternative_names,
            [
                "alice.example.org",
                "alice@example.org",
                "spiffe://example.org/alice",
                "10.0.0.1",
                "::1"
            ]
        );
        assert_eq!((certificate.subject.as_str(), certificate.common_name), ("", None));
    }

    #[test]
    fn the_validity_is_two_times() {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 2, 3);
        let certificate = certificate(&params);
        assert_eq!(certificate.validity(), "2026-01-01T00:00:00Z - 2027-02-03T00:00:00Z");
        assert_eq!(certificate.not_before, 1_767_225_600);
    }

    #[test]
    fn other_bytes_are_no_certificate() {
        assert_eq!(Certificate::from_der(b""), Err(InvalidCertificate));
        assert_eq!(Certificate::from_der(b"\x30\x03abc"), Err(InvalidCertificate));
    }

    /// Goal: nobody's name is that of another. Who has the text of a value that is no text is not taken for its owner.
    #[test]
    fn a_value_that_is_no_text_is_not_the_text_that_looks_like_it() {
        let attribute = |value: &[u8]| AttributeTypeAndValue {
            oid: COMMON_NAME,
            value: x509_cert::der::Any::from_der(value).unwrap(),
        };
        // An octet string, and the text that is written like it.
        let octets = attribute(b"\x04\x02hi");
        let looks_like_it = attribute(b"\x0c\x09#04026869");
        assert_eq!((super::attribute(&octets), text(&octets)), ("CN=#04026869".to_owned(), None));
        assert_eq!(super::attribute(&looks_like_it), "CN=\\#04026869");
        assert_eq!(super::attribute(&attribute(b"\x0c\x03a\x00b")), "CN=a\\00b");
    }

    #[test]
    fn what_means_something_in_a_name_is_escaped() {
        let mut text = String::new();
        escape_into(&mut text, " #a+b;c<d>\\ ");
        assert_eq!(text, "\\ #a\\+b\\;c\\<d\\>\\\\\\ ");
        text.clear();
        escape_into(&mut text, "#");
        assert_eq!(text, "\\#");
    }
}
