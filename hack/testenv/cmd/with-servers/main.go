// Command with-servers runs a command with a private MariaDB and RabbitMQ, whose
// addresses it passes as MYSQL_DSN, AMQP_URL and AMQP_MANAGEMENT_URL, and exits with
// the command's exit code. It does not start a server whose variables are set. With MYSQLD, the
// path of its program, it starts MySQL instead of MariaDB, and with DATABASE_CLUSTER, such as "galera", a
// cluster of three nodes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"ecommerce-stack.dev/hack/testenv"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: with-servers COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-servers:", err)
	}
	os.Exit(code)
}

func run(command []string) (int, error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	env := os.Environ()
	if os.Getenv(testenv.MySQLVariable) == "" {
		dsn, stop, err := testenv.StartDatabase(ctx)
		if err != nil {
			return 1, err
		}
		defer stop()
		env = append(env, testenv.MySQLVariable+"="+dsn)
	}
	if os.Getenv(testenv.AMQPVariable) == "" {
		rabbit, err := testenv.StartRabbitMQ(ctx)
		if err != nil {
			return 1, err
		}
		defer rabbit.Stop()
		env = append(env, testenv.AMQPVariable+"="+rabbit.Info.URL(),
			testenv.ManagementVariable+"="+rabbit.Info.ManagementURL)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(1, exit.ExitCode()), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
