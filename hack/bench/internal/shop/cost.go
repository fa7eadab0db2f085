package shop

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/usage"
)

// Services are the services in the order of the report.
var Services = []string{"gateway", "sales", "stock", "auth"}

// measured are the processes in the order of the report; the last one is no part of the system.
var measured = append(append([]string{"MariaDB", "RabbitMQ"}, Services...), "bench")

// cost is the resource usage since the start of the processes.
type cost struct {
	processes map[string]usage.Usage
	counters  map[string]int64 // of MariaDB
}

// spent returns the cost of all processes and the counters of the database.
func (s *Shop) spent(ctx context.Context) (c cost, err error) {
	pids := map[string]int{"MariaDB": s.System.MySQL.PID, "RabbitMQ": s.System.RabbitMQ.PID}
	for _, name := range Services {
		pids[name] = s.System.PID(name)
	}
	if c.processes, err = usage.OfTrees(pids); err != nil {
		return c, err
	}
	c.counters, err = readCounters(ctx, s.DB)
	return c, err
}

// figures returns the cost per order of a number of orders since before, and the peak memory.
func (c cost) figures(before cost, orders float64) []measure.Figure {
	if orders == 0 {
		return nil
	}
	figures := make([]measure.Figure, 1) // the first one is the sum of the CPU time
	add := func(name, unit string, v float64) {
		figures = append(figures, measure.Figure{Name: name, Unit: unit, Value: v})
	}
	sum := 0.0
	for _, name := range measured {
		ms := milliseconds(c.processes[name].CPU-before.processes[name].CPU) / orders
		if name != "bench" {
			sum += ms
		}
		add("CPU "+name, "ms/order", ms)
	}
	figures[0] = measure.Figure{Name: "CPU of the system", Unit: "ms/order", Value: sum}
	count := func(name string) float64 { return float64(c.counters[name]-before.counters[name]) / orders }
	add("fsyncs of InnoDB", "/order", count("Innodb_data_fsyncs"))
	// With sync_binlog=1 the binary log is synced once for each group of commits.
	add("fsyncs of the binary log", "/order", count("Binlog_group_commits"))
	add("redo log", "KiB/order", count("Innodb_os_log_written")/1024)
	add("binary log", "KiB/order", count("Binlog_bytes_written")/1024)
	for _, name := range []string{"MariaDB", "RabbitMQ"} {
		add("written by "+name, "KiB/order", float64(c.processes[name].Written-before.processes[name].Written)/1024/orders)
	}
	for _, name := range measured[:len(measured)-1] {
		add("peak memory of "+name, "MiB", float64(c.processes[name].Peak)/(1<<20))
	}
	return figures
}

// readCounters returns the counters of MariaDB.
func readCounters(ctx context.Context, db *sql.DB) (map[string]int64, error) {
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL STATUS")
	if err != nil {
		return nil, fmt.Errorf("read the database's counters: %w", err)
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		all[name], _ = strconv.ParseInt(value, 10, 64) // Others are no counters.
	}
	return all, rows.Err()
}
