//! What a start says to a data directory that is not as it should be, and to one that is.

use std::fs;
use std::path::{Path, PathBuf};

use amqp_codec::BasicProperties;
use amqp_codec::method::{basic, queue};

use super::broker::{Broker, Folder, refused};
use super::client::{Client, Event, short};

const QUEUE: &str = "kept";

/// The exit code for what can't be had: `EX_UNAVAILABLE` of sysexits.h.
const UNAVAILABLE: i32 = 69;
const CANNOT_CREATE: i32 = 73;

/// The one line that a broker says when it can't start.
async fn refusal(data: &Path, flags: &[&str]) -> String {
    refusal_with(UNAVAILABLE, data, flags).await
}

async fn refusal_with(code: i32, data: &Path, flags: &[&str]) -> String {
    let output = refused(data, flags).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let line = said.strip_suffix('\n').unwrap_or(&said).to_owned();
    assert!(line.starts_with("leveret: ") && !line.contains('\n'), "not one line: {said:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("Server startup complete"));
    line
}

/// Publishes messages, and waits for the confirm of each, so that each has a frame of its own.
async fn publish(broker: &Broker, bodies: &[&str]) {
    let mut client = Client::publisher(broker.port).await.unwrap();
    let declare = queue::Declare { queue: short(QUEUE), durable: true, ..Default::default() };
    client.call(declare).await.unwrap();
    let properties = BasicProperties { delivery_mode: Some(2), ..Default::default() };
    for body in bodies {
        let publish = basic::Publish { routing_key: short(QUEUE), ..Default::default() };
        client.publish(publish, &properties, body.as_bytes());
        let event = client.next().await.unwrap();
        assert!(matches!(event, Event::Confirm { .. }), "{event:?}");
    }
}

/// The bodies of all messages that are there.
async fn kept(broker: &Broker) -> Vec<String> {
    let mut client = Client::connect(broker.port).await.unwrap();
    let ready = client.ready(QUEUE).await.unwrap().expect("the queue is there");
    client.consume(QUEUE, 0).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..ready {
        let body = client.delivery().await.unwrap().body;
        bodies.push(String::from_utf8(body).unwrap());
    }
    client.close_channel().await.unwrap();
    bodies
}

/// The only segment of a small log.
fn segment(folder: &Folder) -> PathBuf {
    folder.data().join("log").join("00000001.log")
}

/// A broker's files, with three messages, as a kill leaves them.
async fn killed_with_three(name: &str) -> Folder {
    let folder = Folder::new(name);
    let broker = Broker::start(&folder).await;
    publish(&broker, &["the first one", "the second one", "the third one"]).await;
    broker.kill().await;
    folder
}

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused() {
    let folder = Folder::new("in-use");
    let first = Broker::start(&folder).await;
    publish(&first, &["before"]).await;
    let line = refusal(&folder.data(), &[]).await;
    let path = folder.data().display().to_string();
    assert!(line.contains(&path) && line.contains("in use by another broker"), "{line}");
    publish(&first, &["behind"]).await;
    assert_eq!(kept(&first).await, ["before", "behind"]);
    // It is free as soon as the first one is gone, whichever way it went.
    first.kill().await;
    assert_eq!(kept(&Broker::start(&folder).await).await, ["before", "behind"]);
}

#[tokio::test]
async fn a_directory_with_something_else_in_it_is_left_alone() {
    let folder = Folder::new("foreign");
    let note = folder.path().join("notes.txt");
    fs::write(&note, "mine").unwrap();
    let line = refusal(folder.path(), &[]).await;
    assert!(line.contains("is not a leveret data directory: it holds notes.txt"), "{line}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [note]);

    fs::create_dir(folder.data()).unwrap();
    fs::write(folder.data().join("leveret.store"), "shopping list").unwrap();
    let line = refusal(&folder.data(), &[]).await;
    assert!(line.contains("leveret.store says something else"), "{line}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_one_clear_line() {
    let folder = Folder::new("unwritable");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // For root, too, there is nothing below a file.
    let data = file.join("data");
    let line = refusal_with(CANNOT_CREATE, &data, &[]).await;
    assert!(line.starts_with(&format!("leveret: cannot create {}: ", data.display())), "{line}");
}

#[tokio::test]
async fn a_directory_of_a_newer_version_is_not_touched() {
    let folder = killed_with_three("newer").await;
    let marker = folder.data().join("leveret.store");
    let ours = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, ours.replace("format 1", "format 2")).unwrap();
    let line = refusal(&folder.data(), &[]).await;
    assert!(line.contains("newer leveret (format 2, this one knows 1)"), "{line}");
    fs::write(&marker, ours).unwrap();
    assert_eq!(kept(&Broker::start(&folder).await).await.len(), 3);
}

#[tokio::test]
async fn after_a_graceful_stop_there_is_nothing_to_replay() {
    let folder = Folder::new("graceful");
    let broker = Broker::start(&folder).await;
    publish(&broker, &["one", "two"]).await;
    let (status, said) = broker.stop().await;
    assert_eq!(status.code(), Some(0), "{said:#?}");
    let broker = Broker::start(&folder).await;
    let said = broker.said_before_ready();
    assert!(said.iter().any(|line| line.contains("recovered frames=0 ")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("WARN")), "{said:#?}");
    assert_eq!(kept(&broker).await, ["one", "two"]);
}

#[tokio::test]
async fn with_durability_none_nothing_is_written() {
    let folder = Folder::new("none");
    let broker = Broker::start_with(&folder, &["--durability", "none"]).await;
    publish(&broker, &["in memory"]).await;
    assert_eq!(kept(&broker).await, ["in memory"]);
    let (status, said) = broker.stop().await;
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert!(!folder.data().exists());
}

#[tokio::test]
async fn damage_before_later_frames_is_told_with_its_place() {
    let folder = killed_with_three("damaged").await;
    let segment = segment(&folder);
    let intact = fs::read(&segment).unwrap();
    let body = b"the second one";
    let at = intact.windows(body.len()).position(|window| window == body).unwrap();
    let mut damaged = intact.clone();
    damaged[at] ^= 0x20;
    fs::write(&segment, &damaged).unwrap();

    let line = refusal(&folder.data(), &[]).await;
    let start = format!("leveret: {} is damaged at byte ", segment.display());
    let rest = line.strip_prefix(&start).unwrap_or_else(|| panic!("{line}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    // Where the frame begins that has it.
    let told: usize = digits.parse().unwrap();
    assert!(told < at && intact[told..at].len() < 200, "byte {told} for {at}: {line}");
    assert_eq!(fs::read(&segment).unwrap(), damaged, "nothing is repaired unasked");

    fs::write(&segment, &intact).unwrap();
    assert_eq!(kept(&Broker::start(&folder).await).await.len(), 3);
}

/// How many bytes the broker says it cuts off, and behind which.
fn cut_off(line: &str) -> Option<(usize, usize)> {
    let (before, behind) = line.split_once(" bytes behind byte ")?;
    let offset = behind.strip_suffix(" were never completed, and are cut off")?;
    Some((before.rsplit(' ').next()?.parse().ok()?, offset.parse().ok()?))
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_no_error() {
    let folder = killed_with_three("torn").await;
    let segment = segment(&folder);
    let intact = fs::read(&segment).unwrap();
    // The marker of the segment's frames, as it stands in its header, and a frame that breaks off.
    let mut half_a_frame = intact[24..28].to_vec();
    half_a_frame.extend_from_slice(&[200, 0, 0, 0, 99, 1, 2, 3]);
    // Zeros are where frames were to come: nothing is cut off.
    for (tail, is_torn) in [(&[0; 500][..], false), (&half_a_frame, true), (b"anything", true)] {
        fs::write(&segment, [&intact[..], tail].concat()).unwrap();
        let broker = Broker::start(&folder).await;
        let said = broker.said_before_ready();
        let cut_off = said.iter().find_map(|line| cut_off(line));
        let ends_at = cut_off.map(|(bytes, offset)| bytes + offset);
        assert_eq!(ends_at, is_torn.then_some(intact.len() + tail.len()), "{said:#?}");
        assert_eq!(kept(&broker).await, ["the first one", "the second one", "the third one"]);
        broker.kill().await;
    }
    // The last frame itself, torn: it is gone, and what was before is there.
    let body = b"the third one";
    let at = intact.windows(body.len()).position(|window| window == body).unwrap();
    fs::write(&segment, &intact[..at]).unwrap();
    let broker = Broker::start(&folder).await;
    assert_eq!(kept(&broker).await, ["the first one", "the second one"]);
}
