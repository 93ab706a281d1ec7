#!/bin/sh
# What RabbitMQ's image does before it starts something, for leveret.
set -eu

# `docker run leveret --port 5673`: options alone are the server's.
case "${1:-}" in
    '' | -*) set -- rabbitmq-server "$@" ;;
esac

# Nothing of it needs root, except to take over a volume that root made.
case "$1" in
    rabbitmq* | leveret*)
        if [ "$(id -u)" = 0 ]; then
            if [ "$1" = rabbitmq-server ] || [ "$1" = leveret ]; then
                find /var/lib/rabbitmq ! -user rabbitmq -exec chown rabbitmq '{}' +
            fi
            exec su-exec rabbitmq "$0" "$@"
        fi
        ;;
esac

# Where no file can be mounted, definitions come in a variable: JSON, or JSON in base64, which has no braces.
if [ -n "${LEVERET_DEFINITIONS:-}" ]; then
    LEVERET_LOAD_DEFINITIONS="${HOME:-/var/lib/rabbitmq}/definitions.json"
    case "$LEVERET_DEFINITIONS" in
        *'{'*) printf '%s' "$LEVERET_DEFINITIONS" > "$LEVERET_LOAD_DEFINITIONS" ;;
        *)
            if ! printf '%s' "$LEVERET_DEFINITIONS" | base64 -d > "$LEVERET_LOAD_DEFINITIONS"; then
                echo "leveret: LEVERET_DEFINITIONS is neither JSON nor JSON in base64" >&2
                exit 78
            fi
            ;;
    esac
    export LEVERET_LOAD_DEFINITIONS
    unset LEVERET_DEFINITIONS
fi

exec "$@"
