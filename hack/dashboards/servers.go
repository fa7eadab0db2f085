package main

// mysql shows the embedded MySQL, whose pods run the exporter. An external server has an
// exporter of its own, whose series need the labels namespace, stack and pod.
var mysql = dashboardSpec{
	uid: "ecommerce-mysql", title: "ecommerce-stack: MySQL",
	description: "Connections, statements, locks, memory and disk of the embedded MySQL.",
	rows: []row{
		{"Clients", []panel{
			{title: "Does the server respond?", unit: yesNo, warning: 1, critical: .5, lessIsWorse: true, runbook: "service-down",
				description: "1 while the exporter can log in to the server.",
				queries:     []query{{`min by (pod) (mysql_up{STACK})`, "{{pod}}"}}},
			{title: "How full is the table of connections?", unit: percentage, warning: .7, critical: .95, runbook: "database-pool-full",
				description: "Share of max_connections that is in use. Each replica of a service has a pool of its own.",
				queries:     []query{{`max by (pod) (mysql_global_status_threads_connected{STACK}) / max by (pod) (mysql_global_variables_max_connections{STACK})`, "{{pod}}"}}},
			{title: "How many statements run at once?", unit: count, warning: 32, critical: 128,
				description: "Connections that execute a statement now.",
				queries:     []query{{`max by (pod) (mysql_global_status_threads_running{STACK})`, "{{pod}}"}}},
		}},
		{"Statements", []panel{
			{title: "How many transactions are committed?", unit: perSecond,
				description: "COMMIT and ROLLBACK statements per second.",
				queries:     []query{{`sum by (command) (rate(mysql_global_status_commands_total{STACK,command=~"commit|rollback"}[$__rate_interval]))`, "{{command}}"}}},
			{title: "Which statements are executed?", unit: perSecond,
				description: "Statements per second, by kind.",
				queries:     []query{{`sum by (command) (rate(mysql_global_status_commands_total{STACK,command=~"select|insert|update|delete"}[$__rate_interval]))`, "{{command}}"}}},
			{title: "How many statements are slow?", unit: perSecond, warning: .1, critical: 1,
				description: "Statements per second that take longer than long_query_time.",
				queries:     []query{{`sum by (pod) (rate(mysql_global_status_slow_queries{STACK}[$__rate_interval]))`, "{{pod}}"}}},
		}},
		{"Locks", []panel{
			{title: "How often do transactions wait for a row?", unit: perSecond, warning: 50, critical: 500,
				description: "Waits for the lock of a row per second. Orders of one product wait for each other.",
				queries:     []query{{`sum by (pod) (rate(mysql_global_status_innodb_row_lock_waits{STACK}[$__rate_interval]))`, "{{pod}}"}}},
			{title: "How long do they wait?", unit: seconds, warning: .1, critical: 1,
				description: "Mean time of a wait for the lock of a row.",
				queries: []query{{`sum by (pod) (rate(mysql_global_status_innodb_row_lock_time{STACK}[$__rate_interval]))` +
					` / sum by (pod) (rate(mysql_global_status_innodb_row_lock_waits{STACK}[$__rate_interval])) / 1000`, "{{pod}}"}}},
		}},
		{"Memory and disk", []panel{
			{title: "Which share of page reads needs the disk?", unit: percentage, warning: .01, critical: .1,
				description: "Share of the reads of the buffer pool that are not served from memory. A lasting share above 1 % asks for more memory.",
				queries: []query{{`sum by (pod) (rate(mysql_global_status_innodb_buffer_pool_reads{STACK}[$__rate_interval]))` +
					` / sum by (pod) (rate(mysql_global_status_innodb_buffer_pool_read_requests{STACK}[$__rate_interval]))`, "{{pod}}"}}},
			{title: "How often is data synchronized to the disk?", unit: perSecond,
				description: "fsync calls of InnoDB per second. Each commit that is acknowledged needs one, which concurrent commits share.",
				queries: []query{{`sum by (pod) (rate(mysql_global_status_innodb_data_fsyncs{STACK}[$__rate_interval]))`, "data: {{pod}}"},
					{`sum by (pod) (rate(mysql_global_status_innodb_os_log_fsyncs{STACK}[$__rate_interval]))`, "log: {{pod}}"}}},
			{title: "How much is written?", unit: bytesRate,
				description: "Bytes per second that InnoDB writes to its data files.",
				queries:     []query{{`sum by (pod) (rate(mysql_global_status_innodb_data_written{STACK}[$__rate_interval]))`, "{{pod}}"}}},
		}},
	},
}

var rabbitmq = dashboardSpec{
	uid: "ecommerce-rabbitmq", title: "ecommerce-stack: RabbitMQ",
	description: "Queues, consumers, connections and resources of the broker.",
	rows: []row{
		{"Queues", []panel{
			{title: "How many messages wait?", unit: count, warning: 1000, critical: 10000,
				runbook:     "queue-backlog",
				description: "Messages that are ready for a consumer, by queue.",
				queries:     []query{{`sum by (queue) (rabbitmq_queue_messages_ready{STACK})`, "{{queue}}"}}},
			{title: "How many messages are unacknowledged?", unit: count, warning: 1000, critical: 10000,
				description: "Messages that a consumer has and did not acknowledge yet, by queue.",
				queries:     []query{{`sum by (queue) (rabbitmq_queue_messages_unacked{STACK})`, "{{queue}}"}}},
			{title: "Does every queue have a consumer?", unit: count,
				description: "Consumers by queue. Each replica of a service is one consumer of its queue.",
				queries:     []query{{`sum by (queue) (rabbitmq_queue_consumers{STACK})`, "{{queue}}"}}},
		}},
		{"Broker", []panel{
			{title: "How many connections are open?", unit: count,
				description: "Connections of clients, by node.",
				queries:     []query{{`sum by (pod) (rabbitmq_connections{STACK})`, "{{pod}}"}}},
			{title: "Does the broker block publishers?", unit: yesNo, warning: 1, critical: 1,
				description: "Yes while a node has reached its limit of memory or disk space, which stops all publishers.",
				// /metrics/per-object has no rabbitmq_alarms_*.
				queries: []query{{`max by (pod) (rabbitmq_process_resident_memory_bytes{STACK} >= bool rabbitmq_resident_memory_limit_bytes{STACK})`, "memory: {{pod}}"},
					{`max by (pod) (rabbitmq_disk_space_available_bytes{STACK} <= bool rabbitmq_disk_space_available_limit_bytes{STACK})`, "disk: {{pod}}"}}},
			{title: "How much memory do the nodes use?", unit: bytes,
				description: "Resident memory by node, and the limit at which publishers are blocked.",
				queries: []query{{`sum by (pod) (rabbitmq_process_resident_memory_bytes{STACK})`, "{{pod}}"},
					{`min(rabbitmq_resident_memory_limit_bytes{STACK})`, "limit"}}},
			{title: "How much disk space is left?", unit: bytes,
				description: "Free disk space by node.",
				queries:     []query{{`min by (pod) (rabbitmq_disk_space_available_bytes{STACK})`, "{{pod}}"}}},
		}},
	},
}

// day in seconds.
const day = 24 * 60 * 60

// operator is about all stacks: its metrics have no label of a stack.
var operator = dashboardSpec{
	uid: "ecommerce-operator", title: "ecommerce-stack: Operator",
	description: "Conditions, credentials and certificates of stacks, and reconciliations, phases, drift and external servers of the operator, for all stacks.",
	rows: []row{
		{"Stacks", []panel{
			{title: "Which stacks are not Ready?", unit: yesNo, warning: 1, critical: 1, runbook: "stack-not-ready",
				description: "Yes while the condition Ready of a stack is False or Unknown.",
				queries:     []query{{`max by (namespace, stack) (ecommerce_stack_condition{condition="Ready",status!="True"})`, "{{namespace}}/{{stack}}"}}},
			{title: "How old are the credentials?", unit: seconds, runbook: "credential-rotation",
				description: "Time since a credential was created or last rotated, by stack and credential.",
				queries:     []query{{`max by (namespace, stack, credential) (time() - ecommerce_stack_credential_created_timestamp_seconds)`, "{{namespace}}/{{stack}}: {{credential}}"}}},
			{title: "Is a rotation overdue?", unit: seconds, warning: 600, critical: 3600, runbook: "credential-rotation",
				description: "Time since the rotation of the accounts or keys of a stack was due, and 0 before. Stacks without an interval have none.",
				queries:     []query{{`max by (namespace, stack, kind) (clamp_min(time() - ecommerce_stack_next_rotation_timestamp_seconds, 0))`, "{{namespace}}/{{stack}}: {{kind}}"}}},
			{title: "When do certificates expire?", unit: seconds, warning: 30 * day, critical: 7 * day, lessIsWorse: true, runbook: "certificate-expires",
				description: "Time until the certificate of a gateway expires, by Secret. Stacks without TLS have none.",
				queries:     []query{{`min by (namespace, stack, secret) (ecommerce_stack_certificate_expiry_timestamp_seconds - time())`, "{{namespace}}/{{secret}}"}}},
		}},
		{"Reconciliations", []panel{
			{title: "How many reconciliations run?", unit: perSecond,
				description: "Reconciliations per second, by result.",
				queries:     []query{{`sum by (result) (rate(controller_runtime_reconcile_total{controller="ecommercestack"}[$__rate_interval]))`, "{{result}}"}}},
			{title: "Do reconciliations fail?", unit: perSecond, warning: .1, critical: 1, runbook: "operator-stuck",
				description: "Reconciliations per second that ended with an error.",
				queries:     []query{{`sum(rate(controller_runtime_reconcile_errors_total{controller="ecommercestack"}[$__rate_interval]))`, "errors"}}},
			{title: "How long do stacks wait?", unit: count, warning: 10, critical: 50,
				description: "Stacks in the work queue.",
				queries:     []query{{`sum(workqueue_depth{name="ecommercestack"})`, "stacks"}}},
		}},
		{"Phases", []panel{
			{title: "Which phases take long?", unit: seconds, warning: 5, critical: 30,
				description: "Duration that 95 % of the runs of a phase do not exceed.",
				queries:     []query{{`histogram_quantile(0.95, sum by (le, phase) (rate(ecommerce_operator_phase_duration_seconds_bucket[$__rate_interval])))`, "{{phase}}"}}},
			{title: "Which phases fail?", unit: perSecond, warning: .05, critical: .5,
				description: "Runs of a phase per second that ended with an error.",
				queries:     []query{{`sum by (phase) (rate(ecommerce_operator_phase_duration_seconds_count{outcome="error"}[$__rate_interval]))`, "{{phase}}"}}},
			{title: "What does the operator correct?", unit: perSecond, warning: .05, critical: .5,
				description: "Corrections of drift per second, by system.",
				queries:     []query{{`sum by (system) (rate(ecommerce_operator_drift_total[$__rate_interval]))`, "{{system}}"}}},
			{title: "How long do external servers take?", unit: seconds, warning: 1, critical: 10,
				description: "Duration that 95 % of the observations and corrections of MySQL and RabbitMQ do not exceed.",
				queries:     []query{{`histogram_quantile(0.95, sum by (le, system) (rate(ecommerce_operator_external_call_duration_seconds_bucket[$__rate_interval])))`, "{{system}}"}}},
		}},
	},
}
