package main

import "fmt"

// red returns the panels about the requests of a service: rate, errors and duration.
func red(service string) row {
	of := fmt.Sprintf(`STACK,service=%q`, service)
	return row{"Requests", []panel{
		{title: "How many requests arrive?", unit: requests,
			description: "Requests per second by route. Streams count when they end.",
			queries:     []query{{`sum by (route) (rate(http_requests_total{` + of + `}[$__rate_interval]))`, "{{route}}"}}},
		{title: "Which share of them fails?", unit: percentage, warning: .001, critical: .01,
			runbook:     "request-errors",
			description: "Share of the requests with a status of 500 or above, by route.",
			queries: []query{{`(sum by (route) (rate(http_requests_total{` + of + `,status=~"5.."}[$__rate_interval]))` +
				` or sum by (route) (rate(http_requests_total{` + of + `}[$__rate_interval])) * 0)` +
				` / sum by (route) (rate(http_requests_total{` + of + `}[$__rate_interval]))`, "{{route}}"}}},
		{title: "How long do requests take?", unit: seconds, warning: .25, critical: 1,
			description: "Durations that half, 95 % and 99 % of the requests do not exceed, without streams and waits.",
			queries:     quantiles("http_request_duration_seconds", of)},
	}}
}

// waits is the panel about the streams and waits of a service.
func waits(service string) panel {
	return panel{title: "How long are streams and waits?", unit: seconds,
		description: "Durations that half, 95 % and 99 % of the streams and of the requests with Prefer: wait do not exceed.",
		queries:     quantiles("http_long_request_duration_seconds", fmt.Sprintf(`STACK,service=%q`, service))}
}

// quantiles returns the queries of the 50th, 95th and 99th percentile of a histogram.
func quantiles(metric, of string) []query {
	var queries []query
	for _, q := range []struct{ value, legend string }{{"0.5", "50 %"}, {"0.95", "95 %"}, {"0.99", "99 %"}} {
		queries = append(queries, query{`histogram_quantile(` + q.value + `, sum by (le) (rate(` + metric + `_bucket{` + of + `}[$__rate_interval])))`, q.legend})
	}
	return queries
}

// saturation returns the panels about the resources of a service's pods.
func saturation(service string) row {
	of := fmt.Sprintf(`STACK,service=%q`, service)
	return row{"Saturation", []panel{
		{title: "How much CPU do the pods use?", unit: count,
			description: "CPU seconds per second, by pod: 1 is one core.",
			queries:     []query{{`sum by (pod) (rate(process_cpu_seconds_total{` + of + `}[$__rate_interval]))`, "{{pod}}"}}},
		{title: "How much memory do the pods use?", unit: bytes,
			description: "Resident memory by pod. The container is killed at its limit, which the soft limit of the Go runtime follows.",
			queries: []query{{`sum by (pod) (process_resident_memory_bytes{` + of + `})`, "{{pod}}"},
				{`max(go_gc_gomemlimit_bytes{` + of + `})`, "soft limit"}}},
		{title: "How many requests are in progress?", unit: count,
			description: "Requests that are being handled, with streams, by pod.",
			queries:     []query{{`sum by (pod) (http_requests_in_flight{` + of + `})`, "{{pod}}"}}},
		{title: "How many goroutines exist?", unit: count,
			description: "Goroutines by pod. A number that only rises is a leak.",
			queries:     []query{{`sum by (pod) (go_goroutines{` + of + `})`, "{{pod}}"}}},
	}}
}

// pool returns the panels about the database connections of a service.
func pool(service string) row {
	of := fmt.Sprintf(`STACK,service=%q`, service)
	return row{"Database", []panel{
		{title: "How full is the connection pool?", unit: percentage, warning: .7, critical: .95,
			runbook:     "database-pool-full",
			description: "Share of the allowed connections that are in use, by pod.",
			queries:     []query{{`sum by (pod) (go_sql_in_use_connections{` + of + `}) / sum by (pod) (go_sql_max_open_connections{` + of + `})`, "{{pod}}"}}},
		{title: "How long do statements wait for a connection?", unit: seconds, warning: .005, critical: .1,
			description: "Time that callers waited for a connection, per second, by pod.",
			queries:     []query{{`sum by (pod) (rate(go_sql_wait_duration_seconds_total{` + of + `}[$__rate_interval]))`, "{{pod}}"}}},
		{title: "How often do transactions conflict?", unit: perSecond, warning: 5, critical: 50,
			description: "Attempts of transactions per second that were rolled back because of another one, by kind. They are repeated up to 8 times.",
			queries:     []query{{`sum by (kind) (rate(ecommerce_database_conflicts_total{` + of + `}[$__rate_interval]))`, "{{kind}}"}}},
	}}
}

// events returns the panels about the events that a service publishes and consumes.
func events(service, queue string) row {
	of := fmt.Sprintf(`STACK,service=%q`, service)
	consumed := fmt.Sprintf(`STACK,queue=%q`, queue)
	return row{"Events", []panel{
		{title: "Do events leave the outbox?", unit: seconds, warning: 10, critical: 60,
			runbook:     "outbox-ages",
			description: "Age of the oldest event in the outbox. An event leaves it when the broker has confirmed it.",
			queries:     []query{{`max(ecommerce_outbox_oldest_seconds{` + of + `})`, "oldest event"}}},
		{title: "Which path publishes events?", unit: perSecond,
			description: "Published events per second: by the dispatcher from memory, or by the relay from the table, after a failure.",
			queries:     []query{{`sum by (source) (rate(ecommerce_events_published_total{` + of + `}[$__rate_interval]))`, "{{source}}"}}},
		{title: "How old are events when they are handled?", unit: seconds, warning: 1, critical: 10,
			description: "Age that 99 % of the events do not exceed, by type, from the transaction that published them to the commit of their effects.",
			queries:     []query{{`histogram_quantile(0.99, sum by (le, type) (rate(ecommerce_event_age_seconds_bucket{` + consumed + `}[$__rate_interval])))`, "{{type}}"}}},
		{title: "How many events are handled?", unit: perSecond,
			description: "Events per second whose effects are committed, and events that are rejected to the dead-letter queue.",
			queries: []query{{`sum(rate(ecommerce_events_handled_total{` + consumed + `}[$__rate_interval]))`, "handled"},
				{`sum(rate(ecommerce_events_dead_lettered_total{` + consumed + `}[$__rate_interval]))`, "dead-lettered"}}},
		{title: "How large are the batches?", unit: count,
			description: "Mean number of events that are handled in one transaction. It grows with the load.",
			queries: []query{{`sum(rate(ecommerce_event_batch_size_sum{` + consumed + `}[$__rate_interval]))` +
				` / sum(rate(ecommerce_event_batch_size_count{` + consumed + `}[$__rate_interval]))`, "events in a batch"}}},
	}}
}
