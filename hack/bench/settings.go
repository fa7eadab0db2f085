package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// durability are the variables of MariaDB that affect the cost of a commit and the
// other figures.
var durability = []string{"version", "innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "binlog_format", "innodb_doublewrite",
	"innodb_flush_method", "innodb_buffer_pool_size", "innodb_log_file_size", "tx_isolation"}

// settings returns the settings of the machine, the servers and the services, as read
// from the running system, each with its name.
func (b *bench) settings(ctx context.Context) [][2]string {
	load, _, _ := strings.Cut(text("/proc/loadavg"), " ")
	all := [][2]string{
		{"machine", fmt.Sprintf("%d processors, %s, Linux %s, %s, load %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"),
			text("/proc/sys/kernel/osrelease"), field("/proc/meminfo", "MemTotal"), load)},
		{"data", fileSystem(os.TempDir(), text("/proc/mounts"))},
		{"program", fmt.Sprintf("%s, commit %s", runtime.Version(), b.commit(ctx))},
	}
	for _, s := range b.earlier {
		all = append(all, [2]string{"against", fmt.Sprintf("%s (%s), %s", s.revision.Commit, s.revision.Name, s.revision.About)})
	}
	if b.present.local == nil {
		return all
	}
	services := strings.Join(append(serviceEnv, b.options.Env...), " ") + ", otherwise defaults (requests are logged)"
	return append(all, [2]string{"MariaDB", b.mariadb(ctx)}, [2]string{"RabbitMQ", b.rabbitmq()}, [2]string{"services", services})
}

func (b *bench) mariadb(ctx context.Context) string {
	var facts []string
	for _, name := range durability {
		var value string
		if err := b.present.db.QueryRowContext(ctx, "SELECT @@"+name).Scan(&value); err != nil {
			value = "unknown: " + err.Error()
		}
		facts = append(facts, name+"="+value)
	}
	return strings.Join(facts, " ")
}

func (b *bench) rabbitmq() string {
	client, err := b.present.local.RabbitMQ.Info.Management()
	if err != nil {
		return err.Error()
	}
	overview, err := client.Overview()
	if err != nil {
		return err.Error()
	}
	queues, err := client.ListQueues()
	if err != nil {
		return err.Error()
	}
	kinds := map[string]int{}
	for _, q := range queues {
		kind := q.Type
		if !q.Durable {
			kind += " (gateways', not durable)"
		}
		kinds[kind]++
	}
	return fmt.Sprintf("%s on Erlang %s, queues by type %v, persistent messages, publisher confirms", overview.RabbitMQVersion, overview.ErlangVersion, kinds)
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
	return strings.TrimSpace(string(raw))
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
