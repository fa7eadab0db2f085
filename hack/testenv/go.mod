module ecommerce-stack.dev/hack/testenv

go 1.26

require (
	github.com/go-sql-driver/mysql v1.9.3
	github.com/michaelklishin/rabbit-hole/v3 v3.5.0
	github.com/rabbitmq/amqp091-go v1.16.0
)

require (
	filippo.io/edwards25519 v1.1.0 // indirect
	golang.org/x/sys v0.40.0 // indirect
)
