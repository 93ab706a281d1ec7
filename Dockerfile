# leveret in a container: docker build -t leveret . && docker run -p 5672:5672 leveret

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin leveret \
    && strip --strip-debug target/release/leveret

# The same Debian as above, so that the C library is the one it was linked with. A shell is there
# because people extend broker images, and look inside them.
FROM debian:trixie-slim
COPY --from=build /src/target/release/leveret /usr/local/bin/leveret
RUN useradd --system --uid 999 --home-dir /var/lib/leveret --create-home leveret
USER leveret
WORKDIR /var/lib/leveret

# Durable queues and their messages: mount a volume here to keep them.
ENV LEVERET_DATA_DIR=/var/lib/leveret/data
VOLUME /var/lib/leveret

# Clients reach a container from outside its loopback interface: let "guest" in, as RabbitMQ's image
# does. Set LEVERET_DEFAULT_PASS, or publish the port on 127.0.0.1 only.
ENV LEVERET_LOOPBACK_USERS=none

EXPOSE 5672
STOPSIGNAL SIGTERM
ENTRYPOINT ["leveret"]
