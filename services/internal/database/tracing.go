package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
	"strings"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/internal/tracing"
)

// openDB returns the pool of a connector. If the process traces, the statements of sampled
// requests and events have spans, with the text of the statement. The text has no values:
// all are parameters.
func openDB(c driver.Connector, schema string) *sql.DB {
	t := tracing.Active()
	if t == nil {
		return sql.OpenDB(c)
	}
	return otelsql.OpenDB(c, otelsql.WithTracerProvider(t.Provider()), otelsql.WithMeterProvider(noopmetric.NewMeterProvider()),
		otelsql.WithAttributes(semconv.DBSystemNameMySQL, semconv.DBNamespace(schema)),
		otelsql.WithSpanNameFormatter(spanName),
		otelsql.WithSpanErrorAttributesGetter(errorAttributes),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true, OmitConnectorConnect: true,
			// The text of an error may contain values, such as an email address.
			RecordError: func(error) bool { return false },
			// The work in the background has no span of its own.
			SpanFilter: func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return trace.SpanContextFromContext(ctx).IsSampled()
			},
		}))
}

// spanName returns the verb and the first table of a statement, such as "INSERT outbox".
func spanName(_ context.Context, method otelsql.Method, query string) string {
	switch method {
	case otelsql.MethodConnBeginTx:
		return "BEGIN"
	case otelsql.MethodTxCommit:
		return "COMMIT"
	case otelsql.MethodTxRollback:
		return "ROLLBACK"
	}
	verb, rest, _ := strings.Cut(strings.TrimSpace(query), " ")
	for _, before := range []string{"INTO ", "FROM ", "UPDATE "} {
		if _, table, found := strings.Cut(query, before); found {
			rest = table
			break
		}
	}
	table := strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" `(),=@", r) })
	if len(table) == 0 {
		return verb
	}
	return verb + " " + table[0]
}

// errorAttributes returns the kind of an error.
func errorAttributes(err error) []attribute.KeyValue {
	if number := errorNumber(err); number != 0 {
		code := strconv.Itoa(int(number))
		return []attribute.KeyValue{semconv.DBResponseStatusCode(code), semconv.ErrorTypeKey.String(code)}
	}
	return []attribute.KeyValue{semconv.ErrorTypeOther}
}
