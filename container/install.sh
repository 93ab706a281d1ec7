#!/bin/sh
# Lays leveret out under a root as RabbitMQ's image does: names, paths, configuration.
#   container/install.sh ROOT BINARY
# ROOT is empty for the system itself. Users and owners are the Dockerfile's business.
set -eu
root=$1
binary=$2
here=$(dirname "$0")

mkdir -p "$root/usr/local/bin" "$root/opt/rabbitmq/sbin" "$root/opt/rabbitmq/plugins" \
    "$root/etc/rabbitmq/conf.d" "$root/var/lib/rabbitmq" "$root/var/log/rabbitmq" "$root/run/leveret"
cp "$binary" "$root/usr/local/bin/leveret"
cp "$here/docker-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
chmod 755 "$root/usr/local/bin/leveret" "$root/usr/local/bin/docker-entrypoint.sh"

# One program: what it is called says which tool it is.
for tool in rabbitmqctl rabbitmq-diagnostics rabbitmq-plugins rabbitmq-queues rabbitmq-server; do
    ln -sf /usr/local/bin/leveret "$root/opt/rabbitmq/sbin/$tool"
done
ln -sf /usr/local/bin/leveret "$root/usr/local/bin/rabbitmqadmin"
ln -sfn /opt/rabbitmq/plugins "$root/plugins"

cp "$here/10-defaults.conf" "$root/etc/rabbitmq/conf.d/10-defaults.conf"
echo '[rabbitmq_management,rabbitmq_prometheus].' > "$root/etc/rabbitmq/enabled_plugins"
# Whoever the container runs as may write there, and touch only what is his. A broker that keeps nothing has no
# data directory: its tools find it by what it leaves in /run.
chmod 1777 "$root/var/lib/rabbitmq" "$root/var/log/rabbitmq" "$root/run/leveret"
chmod 777 "$root/etc/rabbitmq" "$root/etc/rabbitmq/conf.d"
chmod 666 "$root/etc/rabbitmq/enabled_plugins"
