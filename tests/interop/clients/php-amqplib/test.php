<?php

// php-amqplib, as its users write it: declaring, confirms, consuming, errors, TLS.
// One line for each test, as the other clients print them.

declare(strict_types=1);

use PhpAmqpLib\Connection\AMQPSSLConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

require 'PhpAmqpLib/autoload.php';

const DEADLINE = 20;

[$host, $port] = preg_split('/:(?=\d+$)/', getenv('INTEROP_BROKER') ?: '127.0.0.1:5672');
$tls = getenv('INTEROP_TLS') ?: null;
$certificates = getenv('INTEROP_CERTIFICATES');

function unique(string $kind): string
{
    return "interop.$kind." . bin2hex(random_bytes(6));
}

function same(mixed $expected, mixed $actual): void
{
    if ($expected !== $actual) {
        throw new RuntimeException('expected ' . var_export($expected, true) . ', got ' . var_export($actual, true));
    }
}

/** Declares a queue of this connection; answers its name. */
function mine($channel, array $arguments = []): string
{
    return $channel->queue_declare('', false, false, true, false, false, new AMQPTable($arguments))[0];
}

$plain = function (string $password = 'guest') use ($host, $port) {
    return new AMQPStreamConnection($host, (int) $port, 'guest', $password);
};
$secured = function (array $options) use ($tls, $certificates) {
    [$host, $port] = preg_split('/:(?=\d+$)/', $tls);
    return new AMQPSSLConnection($host, (int) $port, 'guest', 'guest', '/', $options);
};

$tests = [
    'messages are confirmed, consumed and acknowledged in order' => function () use ($plain) {
        $connection = $plain();
        $channel = $connection->channel();
        $queue = mine($channel, ['x-max-length' => 100]);
        $confirmed = 0;
        $channel->set_ack_handler(function () use (&$confirmed) {
            $confirmed++;
        });
        $channel->confirm_select();
        for ($number = 0; $number < 10; $number++) {
            $channel->basic_publish(new AMQPMessage("$number", ['delivery_mode' => 2]), '', $queue);
        }
        $channel->wait_for_pending_acks(DEADLINE);
        same(10, $confirmed);
        $bodies = [];
        $channel->basic_qos(0, 3, false);
        $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$bodies) {
            $bodies[] = $message->body;
            $message->ack();
        });
        while (count($bodies) < 10) {
            $channel->wait(null, false, DEADLINE);
        }
        same(array_map('strval', range(0, 9)), $bodies);
        $connection->close();
    },
    'headers pass with their types' => function () use ($plain) {
        $connection = $plain();
        $channel = $connection->channel();
        $queue = mine($channel);
        $headers = ['text' => 'Grüße', 'number' => 7, 'truth' => true, 'list' => [1, 'a'], 'table' => ['inner' => -1]];
        $message = new AMQPMessage('x', ['application_headers' => new AMQPTable($headers), 'priority' => 3]);
        $channel->basic_publish($message, '', $queue);
        $got = $channel->basic_get($queue, true);
        same($headers, $got->get('application_headers')->getNativeData());
        same(3, $got->get('priority'));
        $connection->close();
    },
    'a queue that is missing is a 404, and the connection lives on' => function () use ($plain) {
        $connection = $plain();
        $name = unique('missing');
        try {
            $connection->channel()->queue_declare($name, true);
            throw new RuntimeException('it is there');
        } catch (AMQPProtocolChannelException $error) {
            same([404, "NOT_FOUND - no queue '$name' in vhost '/'"], [$error->getCode(), $error->amqp_reply_text]);
        }
        mine($connection->channel());
        $connection->close();
    },
    'a wrong password is told' => function () use ($plain) {
        try {
            $plain('wrong');
            throw new RuntimeException('it logged in');
        } catch (AMQPConnectionClosedException $error) {
            same(403, $error->getCode());
        }
    },
    'a message passes over TLS' => $tls ? function () use ($secured, $certificates) {
        $connection = $secured(['cafile' => "$certificates/ca.pem", 'verify_peer' => true]);
        $channel = $connection->channel();
        $queue = mine($channel);
        $body = str_repeat('x', 200000);
        $channel->basic_publish(new AMQPMessage($body), '', $queue);
        same($body, $channel->basic_get($queue, true)->body);
        $connection->close();
    } : null,
];

$failed = 0;
foreach ($tests as $name => $run) {
    if (!str_contains($name, getenv('INTEROP_TEST') ?: '')) {
        continue;
    }
    $start = microtime(true);
    $error = null;
    try {
        $run && $run();
    } catch (Throwable $error) {
        $failed++;
    }
    $outcome = $error ? 'FAIL' : ($run ? 'ok' : 'skip');
    $why = $run ? '' : ": the broker's port for TLS, or openssl, is not there";
    printf("%-5s php-amqplib %s%s (%.2f s)\n", $outcome, $name, $why, microtime(true) - $start);
    if ($error) {
        echo preg_replace('/^/m', '      ', (string) $error), "\n";
    }
}
exit($failed ? 1 : 0);
