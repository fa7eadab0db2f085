package command

import (
	"context"
	"io/fs"
	"log/slog"
	"os"

	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/telemetry"
)

type migrateSettings struct {
	MySQL    config.Secret `env:"MYSQL_DSN,required,notEmpty"`
	LogLevel slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
}

// Migrate returns the subcommand that migrates the schema of a service. It connects as the MySQL
// user that owns the schema.
func Migrate(name string, migrations fs.FS) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := config.Load[migrateSettings]()
		if err != nil {
			return err
		}
		return database.Migrate(ctx, c.MySQL.Reveal(), migrations, telemetry.NewLogger(os.Stdout, name, c.LogLevel))
	}
}
