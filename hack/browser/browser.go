// Package browser opens the gateway's page for developers in a real browser and uses
// it as they do. Its tests start the whole system.
package browser
