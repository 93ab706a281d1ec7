# leveret in the place of RabbitMQ's image: the same names, paths, ports, user and entry point.
#   docker build -t leveret . && docker run -p 5672:5672 -p 15672:15672 leveret
# docs/container.md tells how to use it in compose files, GitHub Actions and Testcontainers.

FROM rust:1.95-alpine AS build
# Versions of packages are those of Alpine's release, which keeps no older ones.
# hadolint ignore=DL3018
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
# Alpine's own target is musl, linked statically: the binary needs nothing of the image below.
RUN cargo build --release --locked --bin leveret \
    && sh container/install.sh /image target/release/leveret

FROM alpine:3.22
# A shell is there because compose files, health checks and images made of this one call it; su-exec
# lets the entry point drop root. Alpine gives 999 to ping, a group that nobody is in; here it is
# RabbitMQ's, as in volumes that its image wrote. The home directory comes with the files below, and may be written
# by whoever the container runs as: made here, it would keep its mode.
# hadolint ignore=DL3018
RUN apk add --no-cache bash su-exec \
    && sed -i '/^ping:/d' /etc/group \
    && addgroup -g 999 -S rabbitmq \
    && adduser -u 999 -S -H -h /var/lib/rabbitmq -G rabbitmq rabbitmq
COPY --from=build /image/ /
RUN chown -R rabbitmq:rabbitmq /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq

# The last one is for the allocator of the static binary: huge pages take memory that nobody uses.
ENV RABBITMQ_HOME=/opt/rabbitmq \
    RABBITMQ_DATA_DIR=/var/lib/rabbitmq \
    RABBITMQ_CONFIG_FILE=/etc/rabbitmq/rabbitmq.conf \
    RABBITMQ_CONFIG_FILES=/etc/rabbitmq/conf.d \
    RABBITMQ_LOGS=- \
    HOME=/var/lib/rabbitmq \
    PATH=/opt/rabbitmq/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    MIMALLOC_ALLOW_THP=0

# Durable queues and their messages: mount a volume here to keep them.
VOLUME /var/lib/rabbitmq

EXPOSE 4369 5671 5672 15671 15672 15691 15692 25672
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["rabbitmq-diagnostics", "-q", "ping"]
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
