//! RabbitMQ's own client library for Rust: what it requires of answers is there.

use rabbitmq_http_client::api::Client;
use rabbitmq_http_client::commons::{
    BindingDestinationType, ExchangeType, PolicyTarget, QueueType, SupportedProtocol,
};
use rabbitmq_http_client::password_hashing::{
    HashingAlgorithm, base64_encoded_salted_password_hash, salt,
};
use rabbitmq_http_client::requests::{
    ExchangeParams, MessageProperties, Permissions, PolicyDefinitionBuilder, PolicyParams,
    QueueParams, UserParams, VirtualHostParams,
};
use serde_json::json;

use crate::support::{Api, broker, run};

#[test]
fn it_reads_every_list_and_object() {
    run(async {
        let broker = broker().await;
        let endpoint = Api::of(&broker).endpoint();
        let client = Client::new(endpoint.as_str(), "guest", "guest");
        client
            .declare_queue("/", &QueueParams::new("q", QueueType::Classic, true, false, None))
            .await
            .unwrap();
        client.declare_quorum_queue("/", "qq").await.unwrap();
        client
            .declare_exchange("/", &ExchangeParams::durable("e", ExchangeType::Topic, None))
            .await
            .unwrap();
        client.bind_queue("/", "q", "e", Some("a.#"), None).await.unwrap();
        client
            .publish_message("/", "e", "a.b", "hello", MessageProperties::default())
            .await
            .unwrap();
        let got = client.get_messages("/", "q", 1, "ack_requeue_false").await.unwrap();
        assert_eq!(got[0].payload, "hello");

        let overview = client.overview().await.unwrap();
        assert_eq!(overview.object_totals.queues, 2);
        let nodes = client.list_nodes().await.unwrap();
        client.get_node_info(&nodes[0].name).await.unwrap();
        client.get_node_memory_footprint(&nodes[0].name).await.unwrap();
        client.auth_attempts_statistics(&nodes[0].name).await.unwrap();
        assert_eq!(client.list_queues().await.unwrap().len(), 2);
        assert_eq!(client.list_queues_with_details().await.unwrap().len(), 2);
        assert_eq!(client.get_queue_info("/", "qq").await.unwrap().queue_type, "quorum");
        // Those of every vhost, and that of events.
        assert_eq!(client.list_exchanges_in("/").await.unwrap().len(), 9);
        let bindings = client.list_queue_bindings("/", "q").await.unwrap();
        assert_eq!(bindings[1].destination_type, BindingDestinationType::Queue);
        client.list_bindings().await.unwrap();
        client.list_connections().await.unwrap();
        client.list_channels().await.unwrap();
        client.list_consumers().await.unwrap();
        client.list_feature_flags().await.unwrap();
        client.list_all_deprecated_features().await.unwrap();
        client.list_shovels().await.unwrap();
        client.list_federation_links().await.unwrap();
        client.list_runtime_parameters().await.unwrap();
        client.list_global_runtime_parameters().await.unwrap();
        client.get_cluster_name().await.unwrap();
        client.rebalance_queue_leaders().await.unwrap();
        client.purge_queue("/", "q").await.unwrap();
        client.delete_queue("/", "q", false).await.unwrap();
        client.delete_queue("/", "q", true).await.unwrap();
        client.delete_exchange("/", "e", false).await.unwrap();
    });
}

#[test]
fn it_changes_users_vhosts_and_policies_and_checks_health() {
    run(async {
        let broker = broker().await;
        let endpoint = Api::of(&broker).endpoint();
        let client = Client::new(endpoint.as_str(), "guest", "guest");
        client.create_vhost(&VirtualHostParams::named("v")).await.unwrap();
        let hash =
            base64_encoded_salted_password_hash(&salt(), "secret", &HashingAlgorithm::SHA256);
        client.create_user(&UserParams::management("ann", &hash)).await.unwrap();
        let permissions =
            Permissions { user: "ann", vhost: "v", configure: ".*", read: ".*", write: ".*" };
        client.grant_permissions(&permissions).await.unwrap();
        assert_eq!(client.get_permissions("v", "ann").await.unwrap().read, ".*");
        // The hash that it made is one that a password is checked against.
        let ann = Client::new(endpoint.as_str(), "ann", "secret");
        assert_eq!(ann.current_user().await.unwrap().name, "ann");
        let definition = PolicyDefinitionBuilder::new().max_length(7).build();
        let policy = PolicyParams::new("v", "p", "^q", definition).apply_to(PolicyTarget::Queues);
        client.declare_policy(&policy).await.unwrap();
        assert_eq!(client.get_policy("v", "p").await.unwrap().pattern, "^q");
        client.declare_operator_policy(&policy).await.unwrap();
        client.list_operator_policies().await.unwrap();
        let exported = client.export_cluster_wide_definitions_as_data().await.unwrap();
        assert_eq!(exported.users.len(), 2);
        let text = client.export_cluster_wide_definitions().await.unwrap();
        client.import_definitions(serde_json::from_str(&text).unwrap()).await.unwrap();
        client.export_vhost_definitions_as_data("v").await.unwrap();
        client.import_vhost_definitions("v", json!({ "queues": [] })).await.unwrap();

        client.health_check_cluster_wide_alarms().await.unwrap();
        client.health_check_local_alarms().await.unwrap();
        client.health_check_if_node_is_quorum_critical().await.unwrap();
        client.health_check_port_listener(broker.port()).await.unwrap();
        client.health_check_protocol_listener(SupportedProtocol::AMQP).await.unwrap();
        assert!(client.health_check_port_listener(1).await.is_err());

        client.delete_policy("v", "p", false).await.unwrap();
        client.delete_user("ann", false).await.unwrap();
        client.delete_vhost("v", false).await.unwrap();
        assert!(client.get_vhost("v").await.is_err());
    });
}
