package mysql

import (
	"errors"
	"testing"

	"ecommerce-stack.dev/operator/internal/serverversion"
)

func TestServersThatAreTooOldAreRefused(t *testing.T) {
	t.Parallel()
	for observed, want := range map[string]string{
		"8.4.3": "", "8.0.36-0ubuntu0.22.04.1": "", "9.1.0": "", "10.11.14-MariaDB-0+deb12u2-log": "", "11.4.2-MariaDB": "", "unknown": "",
		"5.7.44-log":     "its version is 5.7.44-log, but the services need MySQL 8.0.13 or later: upgrade the server",
		"10.5.8-MariaDB": "its version is 10.5.8-MariaDB, but the services need MariaDB 10.6.0 or later: upgrade the server",
	} {
		err := checkVersion(observed)
		var old *serverversion.TooOldError
		if (err != nil) != (want != "") || err != nil && (!errors.As(err, &old) || err.Error() != want) {
			t.Errorf("%s: error %v, want %q", observed, err, want)
		}
	}
}
