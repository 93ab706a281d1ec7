//! The `leveret` command.
fn main() {
    let port = std::env::args()
        .skip_while(|a| a != "--port")
        .nth(1)
        .map_or(5672, |p| p.parse().unwrap_or(5672));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let broker = leveret::Broker::builder().port(port).start().await.expect("start");
        println!("{}", broker.address());
        let _ = tokio::signal::ctrl_c().await;
        broker.stop().await;
    });
}
