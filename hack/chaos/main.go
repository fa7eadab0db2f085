// Command chaos runs the store under load and faults, and checks that no sale is lost, doubled,
// oversold or stranded:
//
//	go run ./hack/chaos --duration 5m
//	go run ./hack/chaos --seed 42 --rounds 1
//	go run ./hack/chaos --database mysql
//	go run ./hack/chaos --database galera
//	go run ./hack/chaos --mutants
//
// A round has a seed, from which its requests and its faults follow. After the faults of a round
// it waits until the store is quiet, and compares what the clients were told with the databases;
// see docs/reliability.md.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
	"ecommerce-stack.dev/hack/testenv"
)

type options struct {
	Seed     uint64        `help:"Seed of the first round; the next rounds have the following numbers. By default it is chosen from the time."`
	Duration time.Duration `help:"Time after which no further round starts." default:"5m"`
	Rounds   int           `help:"Number of rounds; by default as many as start within the duration."`
	Length   time.Duration `help:"Length of the load of a round." default:"40s"`
	Scale    int           `help:"Load as a multiple of 16 customers and the stock of the products." default:"1"`
	Only     []string      `help:"Kinds of faults, separated by commas; by default all. --plan lists them."`
	Database string        `help:"mariadb, the installed one; mysql, that of the image of a bare cluster; galera, three nodes of MariaDB of which one is used, or galera-all, of which all are used; group, three nodes of mysql with group replication." enum:"mariadb,mysql,galera,galera-all,group" default:"mariadb"`
	// DatabaseFlags show which settings the promises need.
	DatabaseFlags []string `help:"Flags of the server or of every node, separated by commas, which take precedence, such as --wsrep-sync-wait=0."`
	Plan          bool     `help:"Print the faults of the first round, and end."`
	Mutants       bool     `help:"Put defects into the sources, one after the other, and check that each is found."`
	Mutant        []string `help:"With --mutants only the defects whose names contain one of these texts."`
	Logs          string   `help:"Folder for the logs of the services if a round fails." type:"path"`
	Results       string   `help:"File for the results in the form of go test -json." type:"path"`
}

// Validate is called by kong.
func (o options) Validate() error {
	switch {
	case o.Duration < time.Second || o.Duration > 12*time.Hour:
		return fmt.Errorf("--duration is %s, but must be from 1s to 12h", o.Duration)
	case o.Length < 5*time.Second || o.Length > 10*time.Minute:
		return fmt.Errorf("--length is %s, but must be from 5s to 10m, before the tokens of the load expire", o.Length)
	case o.Scale < 1 || o.Scale > 32:
		return fmt.Errorf("--scale is %d, but must be from 1 to 32", o.Scale)
	case o.Mutants && o.Scale > 1:
		return fmt.Errorf("--scale is %d, but must be 1 with --mutants", o.Scale)
	case o.Mutants && clusters[o.Database] != nil:
		return fmt.Errorf("--database is %s, but must be mariadb or mysql with --mutants", o.Database)
	case o.Rounds < 0:
		return fmt.Errorf("--rounds is %d, but must be above 0", o.Rounds)
	}
	return nil
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("chaos"), kong.Description("Run the store under load and faults, and check its promises."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errViolated is the error of a run that has found a violation.
var errViolated = errors.New("the store has violated its promises")

func run(ctx context.Context, o options) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano() % 1_000_000)
	}
	out := progress.New(os.Stdout)
	if o.Plan {
		processes, edges := names()
		kinds, err := selectKinds(kindsOf(o.Database, processes, edges), o.Only)
		if err == nil {
			out.Printf("%s", describe(newPlan(o.Seed, o.Length, kinds)))
		}
		return err
	}
	if err := selectDatabase(ctx, root, o.Database); err != nil {
		return err
	}
	if o.Mutants {
		return runMutants(ctx, root, selectMutants(o.Mutant), out)
	}
	results, err := runRounds(ctx, root, o, nil, out)
	if len(results) > 0 {
		printTable(os.Stdout, results)
		if o.Results != "" {
			err = errors.Join(err, writeResults(o.Results, results))
		}
	}
	if err == nil && slices.ContainsFunc(results, func(res *result) bool { return len(res.Violations) > 0 }) {
		return errViolated
	}
	return err
}

// runRounds starts a store with edits of its sources, and runs rounds until the duration has
// passed or a round fails.
func runRounds(ctx context.Context, root string, o options, edits []edit, out *progress.Printer) (results []*result, err error) {
	dir, err := os.MkdirTemp("", "ecommerce-chaos-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(root, dir, append(edits, failpoints...))
	if err != nil {
		return nil, err
	}
	s, err := startStore(ctx, root, o, []string{overlay}, out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	dsn, _ := s.Database()
	db, err := openDatabase(dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return nil, fmt.Errorf("read the version of the database: %w", err)
	}
	out.Printf("The database is %s.", version)
	processes, edges := names()
	if got := slices.Sorted(maps.Keys(s.edges)); !slices.Equal(got, edges) || !slices.Equal(s.replicas, processes) {
		return nil, fmt.Errorf("the store has the processes %v and the edges %v, and plans have %v and %v", s.replicas, got, processes, edges)
	}
	all, err := selectKinds(kindsOf(o.Database, processes, edges), o.Only)
	if err != nil {
		return nil, err
	}
	for n := 0; (o.Rounds == 0 && out.Elapsed() < o.Duration || n < o.Rounds) && ctx.Err() == nil; n++ {
		r := &round{store: s, db: db, seed: o.Seed + uint64(n), scale: o.Scale}
		plan := newPlan(r.seed, o.Length, all)
		var res *result
		err := out.Run(fmt.Sprintf("Round with seed %d", r.seed), func(detail func(string)) (err error) {
			res, err = r.run(ctx, o.Length, all, plan, detail)
			return err
		})
		if err != nil {
			return results, fmt.Errorf("round with seed %d: %w", r.seed, err)
		}
		results = append(results, res)
		res.print(os.Stdout)
		if len(res.Violations) > 0 {
			out.Printf("Run it again with: make chaos SEED=%d CHAOS=\"--database %s\"", r.seed, o.Database)
			if o.Logs != "" {
				return results, s.saveLogs(filepath.Join(o.Logs, fmt.Sprint(r.seed)))
			}
			return results, nil
		}
	}
	return results, ctx.Err()
}

// selectDatabase makes testenv start a database.
func selectDatabase(ctx context.Context, root, name string) error {
	if name != "mysql" && name != "group" {
		return os.Unsetenv(testenv.ProgramVariable)
	}
	if os.Getenv(testenv.ProgramVariable) != "" {
		return nil
	}
	goTool, err := workspace.Go(root)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, goTool, "run", "./hack/cluster", "mysqld")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("find the server of --database %s: %w", name, err)
	}
	return os.Setenv(testenv.ProgramVariable, strings.TrimSpace(string(out)))
}

// openDatabase opens a pool of the administrator.
func openDatabase(dsn string) (*sql.DB, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	config.ParseTime, config.Loc, config.Logger = true, time.UTC, &mysql.NopLogger{}
	config.Timeout, config.ReadTimeout, config.WriteTimeout = 5*time.Second, 30*time.Second, 30*time.Second
	config.Params = map[string]string{"time_zone": "'+00:00'", "innodb_lock_wait_timeout": "3"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// names returns the names of the processes and edges of a store.
func names() (processes, edges []string) {
	to := map[string][]string{"auth": {mysqlServer}, "stock": {mysqlServer, brokerName}, "sales": {mysqlServer, brokerName},
		"gateway": {brokerName, "auth", "sales", "stock"}}
	for _, service := range []string{"auth", "stock", "sales", "gateway"} {
		for _, replica := range []string{"", "-2"} {
			processes = append(processes, service+replica)
			for _, upstream := range to[service] {
				edges = append(edges, service+replica+"→"+upstream)
			}
		}
	}
	slices.Sort(edges)
	return processes, edges
}

// selectKinds returns the kinds with the given names, or all.
func selectKinds(all []kind, only []string) ([]kind, error) {
	if len(only) == 0 {
		return all, nil
	}
	var selected []kind
	for _, name := range only {
		before := len(selected)
		for _, k := range all {
			if k.name == name {
				selected = append(selected, k)
			}
		}
		if len(selected) == before {
			var known []string
			for _, k := range all {
				known = append(known, k.name)
			}
			slices.Sort(known)
			return nil, fmt.Errorf("--only has %q, but must be of: %s", name, strings.Join(slices.Compact(known), ", "))
		}
	}
	return selected, nil
}
