package main

// all are the dashboards of a stack.
var all = []dashboardSpec{overview, orders, gateway, auth, sales, stock, mysql, rabbitmq, operator}

var overview = dashboardSpec{
	uid: "ecommerce-overview", title: "ecommerce-stack: Overview",
	description: "Are orders flowing, and is anything wrong? One screen for one stack.",
	rows: []row{
		{"Now", []panel{
			{title: "Are orders decided?", now: true, unit: perSecond,
				runbook:     "orders-not-flowing",
				description: "Sales per second that get a final status.",
				queries:     []query{{`sum(rate(ecommerce_sales_decided_total{STACK}[5m]))`, ""}}},
			{title: "Oldest undecided sale", now: true, unit: seconds, warning: 10, critical: 60,
				runbook:     "undecided-sale",
				description: "Age of the oldest sale that is Pending and not held.",
				queries:     []query{{`max(ecommerce_sales_oldest_undecided_seconds{STACK})`, ""}}},
			{title: "Oldest event in an outbox", now: true, unit: seconds, warning: 10, critical: 60,
				runbook:     "outbox-ages",
				description: "Age of the oldest event that is not published, in sales and stock.",
				queries:     []query{{`max(ecommerce_outbox_oldest_seconds{STACK})`, ""}}},
			{title: "Dead letters", now: true, unit: count, warning: 1, critical: 10,
				runbook:     "dead-letters",
				description: "Events that could not be handled and wait for a manager.",
				queries:     []query{{`max(ecommerce_dead_letters{STACK})`, ""}}},
			{title: "Audit violations", now: true, unit: count, warning: 1, critical: 1,
				runbook:     "audit-violation",
				description: "Products whose quantities differ from the ledger.",
				queries:     []query{{`max(ecommerce_stock_audit_violations{STACK})`, ""}}},
			{title: "Open circuit breakers", now: true, unit: count, warning: 1, critical: 1,
				runbook:     "breaker-open",
				description: "Circuit breakers of the gateway that allow no call.",
				queries:     []query{{`sum(gateway_breaker_open{STACK})`, ""}}},
		}},
		{"Clients", []panel{
			{title: "How many requests arrive?", unit: requests,
				description: "Requests per second at the gateway, by class of status.",
				queries:     []query{{`sum by (class) (label_replace(rate(http_requests_total{STACK,service="gateway"}[$__rate_interval]), "class", "${1}xx", "status", "(.).."))`, "{{class}}"}}},
			{title: "Which share of requests fails?", unit: percentage, warning: .001, critical: .01,
				runbook:     "request-errors",
				description: "Share of the gateway's responses with a status of 500 or above.",
				queries: []query{{`(sum(rate(http_requests_total{STACK,service="gateway",status=~"5.."}[$__rate_interval]))` +
					` or sum(rate(http_requests_total{STACK,service="gateway"}[$__rate_interval])) * 0)` +
					` / sum(rate(http_requests_total{STACK,service="gateway"}[$__rate_interval]))`, "failed"}}},
			{title: "How long do requests take?", unit: seconds, warning: .25, critical: 1,
				description: "Durations at the gateway that half, 95 % and 99 % of the requests do not exceed.",
				queries:     quantiles("http_request_duration_seconds", `STACK,service="gateway"`)},
		}},
		{"Orders", []panel{
			{title: "How do sales end?", unit: perSecond,
				description: "Decided sales per second, by status.",
				queries:     []query{{`sum by (status) (rate(ecommerce_sales_decided_total{STACK}[$__rate_interval]))`, "{{status}}"}}},
			{title: "How long do decisions take?", unit: seconds, warning: 1, critical: 5,
				runbook:     "slow-decisions",
				description: "Time from the acceptance of a sale to its decision, without held sales.",
				queries:     quantiles("ecommerce_sale_decision_seconds", `STACK,hold="false"`)},
			{title: "Which pods run?", unit: count,
				runbook:     "service-down",
				description: "Pods that respond to scrapes, by service.",
				queries:     []query{{`sum by (service) (up{STACK})`, "{{service}}"}}},
		}},
	},
}

var orders = dashboardSpec{
	uid: "ecommerce-orders", title: "ecommerce-stack: Orders",
	description: "An order from its acceptance to its decision: statuses, durations, outboxes, queues and dead letters.",
	rows: []row{
		{"Decisions", []panel{
			{title: "How do sales end?", unit: perSecond,
				description: "Decided sales per second, by status and reason.",
				queries:     []query{{`sum by (status, reason) (rate(ecommerce_sales_decided_total{STACK}[$__rate_interval]))`, "{{status}} {{reason}}"}}},
			{title: "How long do decisions take?", unit: seconds, warning: 1, critical: 5,
				runbook:     "slow-decisions",
				description: "Time from the acceptance of a sale to its decision, without held sales.",
				queries:     quantiles("ecommerce_sale_decision_seconds", `STACK,hold="false"`)},
			{title: "How long are holds?", unit: seconds,
				description: "Time from the acceptance of a held sale to its confirmation, cancellation or expiry.",
				queries:     quantiles("ecommerce_sale_decision_seconds", `STACK,hold="true"`)},
			{title: "Which share of sales is rejected?", unit: percentage, warning: .2, critical: .5,
				description: "Share of the decided sales that are Unauthorized because goods are missing.",
				queries: []query{{`sum(rate(ecommerce_sales_decided_total{STACK,status="Unauthorized"}[$__rate_interval]))` +
					` / sum(rate(ecommerce_sales_decided_total{STACK}[$__rate_interval]))`, "rejected"}}},
			{title: "How old is the oldest undecided sale?", unit: seconds, warning: 10, critical: 60,
				runbook:     "undecided-sale",
				description: "Age of the oldest sale that is Pending and not held.",
				queries:     []query{{`max(ecommerce_sales_oldest_undecided_seconds{STACK})`, "oldest"}}},
		}},
		{"Events on their way", []panel{
			{title: "How many events wait in the outboxes?", unit: count, warning: 1000, critical: 10000,
				runbook:     "outbox-ages",
				description: "Events in the outbox, by service.",
				queries:     []query{{`max by (service) (ecommerce_outbox_rows{STACK})`, "{{service}}"}}},
			{title: "How old is the oldest of them?", unit: seconds, warning: 10, critical: 60,
				runbook:     "outbox-ages",
				description: "Age of the oldest event in the outbox, by service.",
				queries:     []query{{`max by (service) (ecommerce_outbox_oldest_seconds{STACK})`, "{{service}}"}}},
			{title: "How many events wait in the queues?", unit: count, warning: 1000, critical: 10000,
				runbook:     "queue-backlog",
				description: "Messages that are ready for a consumer, by queue, without those of the gateway's caches.",
				queries:     []query{{`sum by (queue) (rabbitmq_queue_messages_ready{STACK,queue!~"gateway.*"})`, "{{queue}}"}}},
			{title: "How old are events when they are handled?", unit: seconds, warning: 1, critical: 10,
				description: "Age that 99 % of the events do not exceed, by type.",
				queries:     []query{{`histogram_quantile(0.99, sum by (le, type) (rate(ecommerce_event_age_seconds_bucket{STACK}[$__rate_interval])))`, "{{type}}"}}},
			{title: "How many dead letters wait for a manager?", unit: count, warning: 1, critical: 10,
				runbook:     "dead-letters",
				description: "Events that are stored until a manager redrives or deletes them.",
				queries:     []query{{`max(ecommerce_dead_letters{STACK})`, "dead letters"}}},
		}},
		{"Ledger", []panel{
			{title: "Do quantities agree with the ledger?", unit: count, warning: 1, critical: 1,
				runbook:     "audit-violation",
				description: "Violations that the last audit found. More than 0 means that a quantity is wrong.",
				queries:     []query{{`max(ecommerce_stock_audit_violations{STACK})`, "violations"}}},
			{title: "When was the last audit?", unit: seconds, warning: 900, critical: 3600,
				runbook:     "audit-violation",
				description: "Time since the last audit that ended without an error.",
				queries:     []query{{`time() - max(ecommerce_stock_audit_last_success_timestamp_seconds{STACK} > 0)`, "since the last audit"}}},
		}},
	},
}

var gateway = dashboardSpec{
	uid: "ecommerce-gateway", title: "ecommerce-stack: Gateway",
	description: "Routes, upstreams, cache, limits and connections of the gateway.",
	rows: []row{
		red("gateway"),
		{"Upstreams", []panel{
			{title: "How many calls are in progress?", unit: count,
				description: "Calls of services in progress, with streams, by upstream.",
				queries:     []query{{`sum by (upstream) (gateway_upstream_in_flight{STACK})`, "{{upstream}}"}}},
			{title: "Why do calls fail?", unit: perSecond, warning: .1, critical: 1,
				description: "Calls per second without a usable response, by upstream and reason.",
				queries:     []query{{`sum by (upstream, reason) (rate(gateway_upstream_failures_total{STACK}[$__rate_interval]))`, "{{upstream}}: {{reason}}"}}},
			{title: "Is a circuit breaker open?", unit: yesNo, warning: 1, critical: 1,
				runbook:     "breaker-open",
				description: "1 while a replica of the gateway makes no call to the upstream.",
				queries:     []query{{`max by (upstream) (gateway_breaker_open{STACK})`, "{{upstream}}"}}},
			{title: "How many calls are repeated?", unit: perSecond, warning: .1, critical: 1,
				description: "Reads per second that got no response and are repeated, by upstream.",
				queries:     []query{{`sum by (upstream) (rate(gateway_upstream_retries_total{STACK}[$__rate_interval]))`, "{{upstream}}"}}},
		}},
		{"Cache", []panel{
			{title: "Which share of reads does the cache serve?", unit: percentage,
				description: "Share of the reads of cacheable routes that need no call of their own.",
				queries: []query{{`sum(rate(gateway_cache_results_total{STACK,result=~"hit|shared|stale"}[$__rate_interval]))` +
					` / sum(rate(gateway_cache_results_total{STACK}[$__rate_interval]))`, "served"}}},
			{title: "How do reads end?", unit: perSecond,
				description: "Reads of cacheable routes per second, by result.",
				queries:     []query{{`sum by (result) (rate(gateway_cache_results_total{STACK}[$__rate_interval]))`, "{{result}}"}}},
			{title: "How large is the cache?", unit: bytes,
				description: "Bytes of the cached responses, by pod.",
				queries:     []query{{`sum by (pod) (gateway_cache_bytes{STACK})`, "{{pod}}"}}},
			{title: "Do events of changes arrive?", unit: yesNo, warning: 1, critical: .5, lessIsWorse: true,
				runbook:     "cache-disconnected",
				description: "1 while the gateway is connected to the broker. Otherwise cached responses live for a short time only.",
				queries:     []query{{`min by (pod) (gateway_cache_invalidation_connected{STACK})`, "{{pod}}"}}},
		}},
		{"Limits and connections", []panel{
			waits("gateway"),
			{title: "Which limits refuse requests?", unit: perSecond, warning: 1, critical: 100,
				description: "Requests per second that are refused with 429, by class of limit.",
				queries:     []query{{`sum by (class) (rate(gateway_rate_limited_total{STACK}[$__rate_interval]))`, "{{class}}"}}},
			{title: "How full is the table of connections?", unit: percentage, warning: .7, critical: .95,
				description: "Share of the allowed client connections that are open, by pod.",
				queries:     []query{{`sum by (pod) (gateway_connections{STACK}) / sum by (pod) (gateway_connections_limit{STACK})`, "{{pod}}"}}},
			{title: "Which connections are refused or closed?", unit: perSecond, warning: 1, critical: 100,
				description: "Connections per second that are refused at a cap, or closed to admit others.",
				queries: []query{{`sum by (cap) (rate(gateway_connections_refused_total{STACK}[$__rate_interval]))`, "refused: {{cap}}"},
					{`sum(rate(gateway_connections_evicted_total{STACK}[$__rate_interval]))`, "closed"}}},
		}},
		saturation("gateway"),
	},
}

var auth = dashboardSpec{
	uid: "ecommerce-auth", title: "ecommerce-stack: auth",
	description: "Requests, passwords, database and resources of auth.",
	rows: []row{
		red("auth"),
		{"Passwords", []panel{
			{title: "How long does hashing take?", unit: seconds, warning: .5, critical: 2,
				description: "Durations of bcrypt that half, 95 % and 99 % of the operations do not exceed.",
				queries:     quantiles("auth_password_hash_seconds", `STACK`)},
			{title: "How many callers wait to hash?", unit: count, warning: 10, critical: 50,
				description: "Callers that wait for a slot to hash a password, by pod.",
				queries:     []query{{`sum by (pod) (auth_password_hash_waiting{STACK})`, "{{pod}}"}}},
		}},
		pool("auth"), saturation("auth"),
	},
}

var sales = dashboardSpec{
	uid: "ecommerce-sales", title: "ecommerce-stack: sales",
	description: "Requests, events, database and resources of sales.",
	rows:        []row{red("sales"), events("sales", "sales.stock-events"), pool("sales"), saturation("sales")},
}

var stock = dashboardSpec{
	uid: "ecommerce-stock", title: "ecommerce-stack: stock",
	description: "Requests, events, database and resources of stock.",
	rows:        []row{red("stock"), events("stock", "stock.sale-events"), pool("stock"), saturation("stock")},
}
