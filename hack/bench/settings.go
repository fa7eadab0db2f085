package main

import (
	"context"
	"errors"
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
	all := [][2]string{
		{"machine", fmt.Sprintf("%d processors, %s, %s, load %s", runtime.NumCPU(),
			output(ctx, "awk", "-F:", `/^model name/ && !n++ || /^MemTotal/ { printf "%s%s", sep, $2; sep = "," }`, "/proc/cpuinfo", "/proc/meminfo"),
			output(ctx, "uname", "-sr"), output(ctx, "cut", "-d ", "-f1-3", "/proc/loadavg"))},
		{"data", fileSystem(ctx, os.TempDir())},
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
	queues, failed := client.ListQueues()
	if err = errors.Join(err, failed); err != nil {
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
	commit := output(ctx, "git", "-C", b.root, "rev-parse", "--short", "HEAD")
	// Without optional locks, because an interrupted git would leave its lock in the checkout.
	if output(ctx, "git", "--no-optional-locks", "-C", b.root, "status", "--porcelain", "--", "services", "hack") != "" {
		commit += " with changes"
	}
	return commit
}

// fileSystem describes the file system of a folder. In-memory file systems are marked, because
// syncs cost nothing there.
func fileSystem(ctx context.Context, dir string) string {
	kind := output(ctx, "findmnt", "--noheadings", "--first-only", "--output", "FSTYPE,SOURCE", "--target", dir)
	if strings.HasPrefix(kind, "tmpfs") || strings.HasPrefix(kind, "ramfs") {
		kind += ", in MEMORY: syncs cost nothing and the figures are not those of a disk"
	}
	return dir + ", " + kind
}

// output returns the output of a command with single spaces, or "unknown".
func output(ctx context.Context, name string, arguments ...string) string {
	out, err := exec.CommandContext(ctx, name, arguments...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}
