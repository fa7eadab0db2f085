// Package contract holds the tests that prove the REST contract against the whole
// system, run as processes: every row and rule, who may do what, and how soon a
// change is seen everywhere.
package contract
