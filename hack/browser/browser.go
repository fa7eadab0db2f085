// Package browser contains the tests of the gateway's API documentation page in a
// browser. They start the whole system.
package browser
