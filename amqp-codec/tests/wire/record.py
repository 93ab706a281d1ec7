"""Prints what two Python clients put on the wire, for captured.rs.

    pip install pika==1.4.4 amqp==5.4.2 && python record.py
"""
import datetime
from decimal import Decimal

import pika.frame
from amqp import serialization
from pika.spec import Basic, BasicProperties, Channel, Confirm, Connection, Exchange, Queue, Tx

when = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)

methods = [
    Connection.StartOk(client_properties={"product": "Pika Python Client Library",
                                          "capabilities": {"basic.nack": True, "consumer_cancel_notify": True}},
                       mechanism="PLAIN", response="\0guest\0guest", locale="en_US"),
    Connection.TuneOk(channel_max=2047, frame_max=131072, heartbeat=60),
    Connection.Open(virtual_host="/", insist=True),
    Connection.Close(reply_code=200, reply_text="Normal shutdown", class_id=0, method_id=0),
    Connection.Blocked(reason="low on memory"),
    Connection.UpdateSecret(new_secret="s3cret", reason="renewal"),
    Channel.Open(),
    Channel.Flow(active=True),
    Channel.Close(reply_code=404, reply_text="NOT_FOUND - no queue 'q' in vhost '/'", class_id=60, method_id=20),
    Exchange.Declare(exchange="logs", type="topic", durable=True, internal=True,
                     arguments={"alternate-exchange": "unrouted"}),
    Exchange.Bind(destination="d", source="s", routing_key="a.*", nowait=True),
    Exchange.UnbindOk(),
    Queue.Declare(queue="tasks", durable=True, auto_delete=True, arguments={"x-message-ttl": 60000, "x-queue-mode": "lazy"}),
    Queue.DeclareOk(queue="tasks", message_count=3, consumer_count=1),
    Queue.Bind(queue="tasks", exchange="logs", routing_key="#", arguments={"x-match": "any", "n": 2}),
    Queue.Delete(queue="tasks", if_unused=True, if_empty=True, nowait=True),
    Queue.Unbind(queue="tasks", exchange="logs", routing_key="#"),
    Basic.Qos(prefetch_size=0, prefetch_count=10, global_qos=True),
    Basic.Consume(queue="tasks", consumer_tag="ctag1.0", no_ack=True, arguments={"x-priority": 5}),
    Basic.Cancel(consumer_tag="ctag1.0", nowait=True),
    Basic.Publish(exchange="logs", routing_key="kern.critical", mandatory=True),
    Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="logs", routing_key="kern"),
    Basic.Deliver(consumer_tag="ctag1.0", delivery_tag=258, redelivered=True, exchange="logs", routing_key="kern"),
    Basic.GetOk(delivery_tag=1, redelivered=False, exchange="", routing_key="tasks", message_count=7),
    Basic.GetEmpty(cluster_id=""),
    Basic.Ack(delivery_tag=2**40, multiple=True),
    Basic.Reject(delivery_tag=3, requeue=True),
    Basic.RecoverAsync(requeue=True),
    Basic.Nack(delivery_tag=9, multiple=False, requeue=True),
    Confirm.Select(nowait=False),
    Tx.Rollback(),
]
for method in methods:
    print(method.NAME, pika.frame.Method(1, method).marshal().hex())

table = {"string": "täxt", "bytes": b"\0\xff", "bool": True, "int": -5, "long": 2**40, "decimal": Decimal("-1.25"),
         "time": when, "table": {"inner": {}}, "list": [1, "two", [None]], "none": None}
everything = BasicProperties(
    content_type="text/plain", content_encoding="utf-8", headers={"k": 1}, delivery_mode=2, priority=9,
    correlation_id="c", reply_to="amq.rabbitmq.reply-to", expiration="60000", message_id="m",
    timestamp=1714979289, type="t", user_id="guest", app_id="app", cluster_id="cl")
for name, properties in [("none", BasicProperties()), ("persistent", BasicProperties(delivery_mode=2)),
                         ("all", everything), ("headers", BasicProperties(headers=table))]:
    print("header", name, pika.frame.Header(1, 5, properties).marshal().hex())
print("body", pika.frame.Body(1, b"hello").marshal().hex())
print("heartbeat", pika.frame.Heartbeat().marshal().hex())
print("protocol header", pika.frame.ProtocolHeader().marshal().hex())
print("py-amqp table", serialization.dumps("F", [table | {"double": 0.5}]).hex())
