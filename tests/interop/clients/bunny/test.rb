# Bunny, Ruby's client, as its users write it: declaring, confirms, consuming, errors, TLS.
# One line for each test, as the other clients print them.

require 'bunny'
require 'securerandom'
require 'timeout'

HOST, PORT = ENV.fetch('INTEROP_BROKER', '127.0.0.1:5672').split(/:(?=\d+\z)/)
TLS = ENV['INTEROP_TLS']
CERTIFICATES = ENV['INTEROP_CERTIFICATES']
ONLY = ENV.fetch('INTEROP_TEST', '')
SECONDS = Integer(ENV.fetch('INTEROP_TEST_SECONDS', '60'))
# A step that takes longer has failed.
DEADLINE = 20

def unique(kind) = "interop.#{kind}.#{SecureRandom.hex(6)}"

# A connection that does not come back by itself; closed when the block ends.
def connected(**options)
  defaults = { host: HOST, port: Integer(PORT), automatically_recover: false, log_level: Logger::FATAL }
  connection = Bunny.new(**defaults, **options)
  connection.start
  yield connection
ensure
  connection.close if connection&.open?
end

def with_channel(**options)
  connected(**options) { |connection| yield connection.create_channel }
end

def assert_equal(expected, actual)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless expected == actual
end

# What is raised, which has to be of this class.
def raised(type)
  yield
  raise "no #{type} was raised"
rescue type => e
  e
end

def taken(inbox, count) = Array.new(count) { Timeout.timeout(DEADLINE) { inbox.pop } }

TESTS = {}

def test(name, skip: nil, &run) = TESTS[name] = [skip, run]

test('messages are confirmed, consumed and acknowledged in order') do
  with_channel do |channel|
    queue = channel.queue(unique('queue'), exclusive: true, arguments: { 'x-max-length' => 100 })
    channel.confirm_select
    10.times { |number| queue.publish(number.to_s, persistent: true, message_id: "m#{number}") }
    assert_equal(true, channel.wait_for_confirms)
    channel.prefetch(3)
    inbox = Queue.new
    queue.subscribe(manual_ack: true) do |delivery, properties, body|
      inbox << [properties.message_id, body]
      channel.ack(delivery.delivery_tag)
    end
    assert_equal((0...10).map { |number| ["m#{number}", number.to_s] }, taken(inbox, 10))
  end
end

test('headers pass with their types') do
  with_channel do |channel|
    queue = channel.queue('', exclusive: true)
    headers = { 'text' => 'plain', 'number' => 7, 'big' => 2**40, 'truth' => true, 'fraction' => 1.5,
                'list' => [1, 'a'], 'table' => { 'inner' => -1 }, 'time' => Time.at(1_700_000_000) }
    queue.publish('', headers: headers, type: 'kind', priority: 3, timestamp: 1_700_000_000)
    _, properties, = queue.pop
    assert_equal(headers, properties.headers)
    assert_equal(['kind', 3, Time.at(1_700_000_000)], [properties.type, properties.priority, properties.timestamp])
  end
end

test('an unroutable message comes back') do
  with_channel do |channel|
    inbox = Queue.new
    exchange = channel.default_exchange
    exchange.on_return { |info, _, body| inbox << [info.reply_code, info.reply_text, body] }
    exchange.publish('lost', routing_key: unique('nowhere'), mandatory: true)
    assert_equal([[312, 'NO_ROUTE', 'lost']], taken(inbox, 1))
  end
end

test('topics and bindings between exchanges') do
  with_channel do |channel|
    source = channel.topic(unique('source'), auto_delete: true)
    target = channel.fanout(unique('target'), auto_delete: true)
    queue = channel.queue('', exclusive: true)
    target.bind(source, routing_key: 'a.#')
    queue.bind(target)
    source.publish('no', routing_key: 'b')
    source.publish('yes', routing_key: 'a.b.c')
    assert_equal('yes', queue.pop.last)
    assert_equal(nil, queue.pop.last)
  end
end

test('a queue that is missing is a 404, and the connection lives on') do
  connected do |connection|
    name = unique('missing')
    error = raised(Bunny::NotFound) { connection.create_channel.queue(name, passive: true) }
    assert_equal("NOT_FOUND - no queue '#{name}' in vhost '/'", error.message)
    assert_equal(true, connection.create_channel.open?)
  end
end

test('a queue with other arguments is a 406') do
  connected do |connection|
    name = unique('queue')
    connection.create_channel.queue(name, exclusive: true)
    error = raised(Bunny::PreconditionFailed) do
      connection.create_channel.queue(name, exclusive: true, arguments: { 'x-max-length' => 1 })
    end
    assert_equal(true, error.message.start_with?("PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue"))
  end
end

test('a wrong password is told') do
  raised(Bunny::AuthenticationFailureError) { connected(password: 'wrong') { nil } }
end

test('a rejected message is dead-lettered') do
  with_channel do |channel|
    dead = channel.queue('', exclusive: true)
    arguments = { 'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => dead.name }
    queue = channel.queue('', exclusive: true, arguments: arguments)
    queue.publish('bad')
    inbox = Queue.new
    dead.subscribe { |_, properties, body| inbox << [properties.headers['x-death'][0]['reason'], body] }
    delivery, = queue.pop(manual_ack: true)
    channel.reject(delivery.delivery_tag)
    assert_equal([%w[rejected bad]], taken(inbox, 1))
  end
end

NO_TLS = ("the broker's port for TLS, or openssl, is not there" unless TLS)

def tls(**more)
  host, port = TLS.split(/:(?=\d+\z)/)
  { host: host, port: Integer(port), tls: true, verify_peer: true,
    tls_ca_certificates: ["#{CERTIFICATES}/ca.pem"], **more }
end

test('a message passes over TLS', skip: NO_TLS) do
  with_channel(**tls) do |channel|
    queue = channel.queue('', exclusive: true)
    body = 'x' * 200_000
    queue.publish(body)
    assert_equal(body, queue.pop.last)
  end
end

test('a certificate logs in', skip: NO_TLS) do
  files = { tls_cert: "#{CERTIFICATES}/client.pem", tls_key: "#{CERTIFICATES}/client.key" }
  with_channel(**tls(**files, auth_mechanism: 'EXTERNAL')) { |channel| assert_equal(true, channel.open?) }
end

failed = 0
TESTS.each do |name, (skip, run)|
  next unless name.include?(ONLY)

  start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  begin
    Timeout.timeout(SECONDS) { run.call } unless skip
    outcome = skip ? 'skip' : 'ok'
  rescue StandardError => e
    outcome = 'FAIL'
    failed += 1
  end
  seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  puts format('%-5s bunny      %s%s (%.2f s)', outcome, name, skip ? ": #{skip}" : '', seconds)
  puts "      #{e.class}: #{e.message}", e.backtrace.first(5).map { |line| "      #{line}" } if e
  $stdout.flush
end
exit(failed.zero? ? 0 : 1)
