package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/report"
)

// durability are the variables of MariaDB that affect the cost of a commit and the
// other figures.
var durability = []string{"version", "innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "binlog_format", "innodb_doublewrite",
	"innodb_flush_method", "innodb_buffer_pool_size", "innodb_log_file_size", "tx_isolation"}

// settings returns the settings of the machine, the servers and the services, as read
// from the running system.
func (b *bench) settings(ctx context.Context) []report.Setting {
	all := []report.Setting{
		{Name: "machine", Value: fmt.Sprintf("%d processors, %s, %s, %s, load %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"),
			"Linux "+strings.TrimSpace(text("/proc/sys/kernel/osrelease")), field("/proc/meminfo", "MemTotal"), firstWords(text("/proc/loadavg"), 3))},
		{Name: "data", Value: fileSystem(os.TempDir(), text("/proc/mounts"))},
		{Name: "program", Value: fmt.Sprintf("%s, commit %s", runtime.Version(), b.commit(ctx))},
	}
	for _, r := range b.revisions() {
		all = append(all, report.Setting{Name: "against", Value: fmt.Sprintf("%s (%s), %s", r.Commit, r.Name, r.About)})
	}
	if b.system == nil {
		return all
	}
	return append(all, report.Setting{Name: "MariaDB", Value: b.mariadb(ctx)}, report.Setting{Name: "RabbitMQ", Value: b.rabbitmq()},
		report.Setting{Name: "services", Value: strings.Join(append(serviceEnv, b.options.Env...), " ") + ", otherwise defaults (requests are logged)"})
}

func (b *bench) mariadb(ctx context.Context) string {
	var facts []string
	for _, name := range durability {
		var value string
		if err := b.db.QueryRowContext(ctx, "SELECT @@"+name).Scan(&value); err != nil {
			value = "unknown: " + err.Error()
		}
		facts = append(facts, name+"="+value)
	}
	return strings.Join(facts, " ")
}

func (b *bench) rabbitmq() string {
	client, err := b.system.RabbitMQ.Info.Management()
	if err != nil {
		return err.Error()
	}
	facts := "unknown version"
	if o, err := client.Overview(); err == nil {
		facts = o.RabbitMQVersion + " on Erlang " + o.ErlangVersion
	}
	queues, err := client.ListQueues()
	if err != nil {
		return facts + ", " + err.Error()
	}
	kinds := map[string]int{}
	for _, q := range queues {
		kind := q.Type
		if !q.Durable {
			kind += " (gateways', not durable)"
		}
		kinds[kind]++
	}
	return fmt.Sprintf("%s, queues by type %v, persistent messages, publisher confirms", facts, kinds)
}

func (b *bench) commit(ctx context.Context) string {
	git := func(arguments ...string) string {
		// Without optional locks, because an interrupted git would leave its lock in
		// the checkout.
		out, err := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-C", b.root}, arguments...)...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	commit := git("rev-parse", "--short", "HEAD")
	if git("status", "--porcelain", "--", "services", "hack") != "" {
		commit += " with changes"
	}
	return commit
}

// fileSystem describes the file system of a folder according to a table of mounts
// (proc(5)). In-memory file systems are marked, because syncs cost nothing there.
func fileSystem(dir, mounts string) string {
	found, longest := "unknown", -1
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		device, at, kind := fields[0], fields[1], fields[2]
		inside := dir == at || at == "/" || strings.HasPrefix(dir, at+"/")
		if inside && len(at) > longest {
			found, longest = kind+" on "+device, len(at)
			if kind == "tmpfs" || kind == "ramfs" {
				found += ", in MEMORY: syncs cost nothing and the figures are not those of a disk"
			}
		}
	}
	return dir + ", " + found
}

func text(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	return string(raw)
}

// field returns the first value of a name in a file of "name: value" lines.
func field(file, name string) string {
	for line := range strings.Lines(text(file)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown " + name
}

func firstWords(s string, n int) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(n, len(words))], " ")
}
