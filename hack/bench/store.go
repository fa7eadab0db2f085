package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/local"
)

// mysqlFlags are the durability settings of production (charts/mysql/files/my.cnf), with
// the binary log, and a buffer pool that holds the data of a run.
var mysqlFlags = []string{
	"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON", "--sync-binlog=1", "--log-bin=binlog", "--server-id=1",
	"--binlog-format=ROW", "--transaction-isolation=READ-COMMITTED", "--default-time-zone=+00:00",
	"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--performance-schema=OFF",
}

// store is a measured system.
type store struct {
	system *local.System
	db     *sql.DB
	shop   shop.Shop
}

// open starts a system with production settings of the servers and without links to them.
func (s *store) open(ctx context.Context, o local.Options) (err error) {
	o.MySQLFlags, o.Direct = mysqlFlags, true
	if s.system, err = local.Start(ctx, o); err != nil {
		return err
	}
	s.db, err = connect(s.system.MySQL.DSN, fill.Shop.Stock)
	return err
}

// stock adds the products and opens the shop.
func (s *store) stock(ctx context.Context, taker *profile.Taker) error {
	if err := fill.Products(ctx, s.db, fill.Shop, 1, mix.Products, nil); err != nil {
		return err
	}
	opened, err := shop.Open(s.system, s.db)
	if err != nil {
		return err
	}
	s.shop = *opened
	s.shop.Profiles = taker
	return nil
}

// close stops the system, if it was started, and removes its data.
func (s *store) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.system != nil {
		errs = append(errs, s.system.Stop())
	}
	return errors.Join(errs...)
}

// dsnWithSchema returns the administrator's DSN with a schema.
func dsnWithSchema(dsn, schema string) (string, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "", fmt.Errorf("parse the DSN of the database: %w", err)
	}
	config.DBName = schema
	return config.FormatDSN(), nil
}

func connect(dsn, schema string) (*sql.DB, error) {
	dsn, err := dsnWithSchema(dsn, schema)
	if err != nil {
		return nil, err
	}
	return sql.Open("mysql", dsn)
}
