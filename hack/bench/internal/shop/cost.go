package shop

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"

	"ecommerce-stack.dev/hack/bench/internal/heap"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/procfs"
)

// Services are the services in the order of the report.
var Services = []string{"gateway", "sales", "stock", "auth"}

// orderServices are the services that handle an order.
var orderServices = []string{"gateway", "sales", "stock"}

// cost is the resource usage since the start of the processes.
type cost struct {
	processes map[string]procfs.Usage
	allocated map[string]float64 // heap objects by orderServices
	counters  map[string]int64   // of MariaDB
}

// spent returns the cost of all processes and the counters of the database.
func (s *Shop) spent(ctx context.Context) (cost, error) {
	c := cost{processes: map[string]procfs.Usage{}, allocated: map[string]float64{}}
	var err error
	if c.processes["bench"], err = procfs.OfProcess(os.Getpid()); err != nil {
		return c, err
	}
	if c.processes["MariaDB"], err = procfs.Of(s.System.MySQL.PID); err != nil {
		return c, err
	}
	if c.processes["RabbitMQ"], err = procfs.Of(s.System.RabbitMQ.PID); err != nil {
		return c, err
	}
	for _, name := range Services {
		if c.processes[name], err = procfs.Of(s.System.PID(name)); err != nil {
			return c, err
		}
	}
	for _, name := range orderServices {
		if c.allocated[name], err = heap.Allocated(ctx, s.System.MetricsURL(name)); err != nil {
			return c, err
		}
	}
	c.counters, err = readCounters(ctx, s.DB)
	return c, err
}

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
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			all[name] = n
		}
	}
	return all, rows.Err()
}

// figures returns the cost per order of n orders since before.
func (c cost) figures(before cost, n int64) []measure.Figure {
	if n == 0 {
		return nil
	}
	per := func(v float64) float64 { return v / float64(n) }
	count := func(name string) float64 { return per(float64(c.counters[name] - before.counters[name])) }
	var figures []measure.Figure
	var sum float64
	for _, name := range append([]string{"MariaDB", "RabbitMQ"}, append(Services, "bench")...) {
		ms := per((c.processes[name].CPU - before.processes[name].CPU).Seconds() * 1000)
		if name != "bench" {
			sum += ms
		}
		figures = append(figures, measure.Figure{Name: "CPU " + name, Unit: "ms/order", Value: ms})
	}
	for _, name := range orderServices {
		figures = append(figures, measure.Figure{Name: "allocations " + name, Unit: "/order", Value: per(c.allocated[name] - before.allocated[name])})
	}
	written := func(name string) float64 {
		return per(float64(c.processes[name].Written-before.processes[name].Written) / 1024)
	}
	return append([]measure.Figure{{Name: "CPU of the system", Unit: "ms/order", Value: sum}}, append(figures,
		measure.Figure{Name: "fsyncs of InnoDB", Unit: "/order", Value: count("Innodb_data_fsyncs")},
		// With sync_binlog=1 the binary log is synced once for each group of commits.
		measure.Figure{Name: "fsyncs of the binary log", Unit: "/order", Value: count("Binlog_group_commits")},
		measure.Figure{Name: "redo log", Unit: "KiB/order", Value: count("Innodb_os_log_written") / 1024},
		measure.Figure{Name: "binary log", Unit: "KiB/order", Value: count("Binlog_bytes_written") / 1024},
		measure.Figure{Name: "written by MariaDB", Unit: "KiB/order", Value: written("MariaDB")},
		measure.Figure{Name: "written by RabbitMQ", Unit: "KiB/order", Value: written("RabbitMQ")})...)
}

// peaks returns the peak memory of each process.
func (c cost) peaks() []measure.Figure {
	var figures []measure.Figure
	for _, name := range append([]string{"MariaDB", "RabbitMQ"}, Services...) {
		figures = append(figures, measure.Figure{Name: "peak memory of " + name, Unit: "MiB", Value: float64(c.processes[name].Peak) / (1 << 20)})
	}
	return figures
}
