package databasetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
)

// maxInterruptions is above the number of interruptions of the migrations of a schema.
const maxInterruptions = 1000

// CheckInterruptedMigrations migrates the schema of dsn, and cuts the connection once before and
// once after each statement that changes it. It fails the test when the migrations cannot be
// continued, or when the result differs from that in the schema of otherDSN, where nothing is
// interrupted.
func CheckInterruptedMigrations(t *testing.T, dsn, otherDSN string, migrations fs.FS) {
	t.Helper()
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := newCutter(t, config.Addr)
	config.Addr = c.listener.Addr().String()
	cuts := 0
	for ; cuts < maxInterruptions; cuts++ {
		err := database.Migrate(t.Context(), config.FormatDSN(), migrations, slog.New(slog.DiscardHandler))
		interrupted := c.interrupted()
		if interrupted == "" && err != nil {
			t.Fatalf("not continued after %d interruptions: %v", cuts, err)
		}
		if interrupted == "" {
			break
		}
	}
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	// The statement, the records of its start and its end, and the version.
	if want := 2 * 4 * len(files); cuts < want || cuts == maxInterruptions {
		t.Errorf("%d interruptions of %d migrations, want at least %d", cuts, len(files), want)
	}
	got, want := describe(t, Open(t, dsn, migrations)), describe(t, Open(t, otherDSN, migrations))
	if got != want {
		t.Errorf("after %d interruptions the schema is\n%s\nwant\n%s", cuts, got, want)
	}
}

// describe returns the definitions of the tables of a schema and the versions in it.
func describe(t *testing.T, db *gorm.DB) string {
	t.Helper()
	var tables []string
	if err := db.Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name").Scan(&tables).Error; err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, table := range tables {
		var row struct {
			Definition string `gorm:"column:Create Table"`
		}
		if err := db.Raw("SHOW CREATE TABLE `" + table + "`").Scan(&row).Error; err != nil {
			t.Fatal(err)
		}
		definition, options, _ := strings.Cut(row.Definition, "\n) ")
		fmt.Fprintln(&text, definition, strings.Fields(options)[0]) // without AUTO_INCREMENT
	}
	var versions []int64
	if err := db.Raw("SELECT version_id FROM goose_db_version ORDER BY version_id").Scan(&versions).Error; err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&text, versions)
	return text.String()
}

// cutter is a proxy of a MySQL server that closes a connection at each statement that changes a
// schema, when it receives it for the first time, and after the server has executed it.
type cutter struct {
	listener net.Listener
	server   string

	mu   sync.Mutex
	seen map[string]bool
	last string // the statement of the last interruption
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{listener: listener, server: server, seen: map[string]bool{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.serve(t.Context(), client)
		}
	}()
	return c
}

// interrupted returns the statement that was interrupted since the last call, or "".
func (c *cutter) interrupted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.last = "" }()
	return c.last
}

// cut reports whether the connection is to be closed at a statement.
func (c *cutter) cut(statement, when string) bool {
	verb, _, _ := strings.Cut(statement, " ")
	switch strings.ToUpper(verb) {
	case "CREATE", "ALTER", "DROP", "UPDATE", "DELETE", "INSERT":
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(statement, "goose_lock") || c.seen[when+statement] {
		return false
	}
	c.seen[when+statement] = true
	c.last = statement
	return true
}

// serve forwards the packets of a connection:
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
func (c *cutter) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	executed := make(chan bool, 1) // has a value if the next response is not forwarded
	go func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			select {
			case <-executed:
				return
			default:
			}
			if err != nil {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	for {
		header := make([]byte, 4)
		if _, err := io.ReadFull(client, header); err != nil {
			return
		}
		payload := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
		if _, err := io.ReadFull(client, payload); err != nil {
			return
		}
		const query = 3 // the command COM_QUERY, which begins a sequence of packets
		if header[3] == 0 && len(payload) > 0 && payload[0] == query {
			statement := strings.TrimSpace(string(payload[1:]))
			if c.cut(statement, "before ") {
				return
			}
			if c.cut(statement, "after ") {
				executed <- true
			}
		}
		if _, err := server.Write(append(header, payload...)); err != nil {
			return
		}
	}
}
