// Package rootfs builds images of the database and the broker from Debian
// packages, for clusters without access to a registry. The images work with the
// charts like the official ones: as user 999, with a read-only root file system,
// and with the servers' programs on PATH.
package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Recipe contains all inputs of an image.
type Recipe struct {
	Name    string // of the image: mysql or rabbitmq
	Title   string // the display name
	Suite   string // of Debian: sid or trixie
	Package string
	Account string // the account of the package's server; gets the uid 999
	Config  v1.Config
	// Finish is a shell script that runs as root in the root file system.
	Finish string
}

// uid is the user ID of both servers in the official images.
const uid = "999"

const debianPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// finish changes the uid of the server's account to the uid in the charts, and
// empties the server's folders, because volumes are mounted there.
const finish = `
set -eu
old=$(id -u "$ACCOUNT")
if [ "$old" != 999 ]; then
  groupmod -o -g 999 "$ACCOUNT"
  usermod -o -u 999 -g 999 "$ACCOUNT"
fi
for dir in "/var/lib/$NAME" "/run/$NAME" "/var/log/$NAME" $FOLDERS; do
  rm -rf "$dir"
  mkdir -p "$dir"
  chown 999:999 "$dir"
done
`

// MySQL contains the recipes of the database. Debian has MySQL only in its
// unstable suite, where it sometimes cannot be installed; the fallback is MariaDB.
var MySQL = []Recipe{
	{
		Name: "mysql", Title: "MySQL", Suite: "sid", Package: "mysql-server", Account: "mysql",
		Config: config([]string{"mysqld"}, "PATH="+debianPath),
		Finish: "FOLDERS='/var/lib/mysql-files /var/lib/mysql-keyring /run/mysqld'" + finish,
	},
	{
		Name: "mysql", Title: "MariaDB", Suite: "trixie", Package: "mariadb-server", Account: "mysql",
		Config: config([]string{"mariadbd"}, "PATH="+debianPath),
		Finish: "FOLDERS=/run/mysqld" + finish,
	},
}

// RabbitMQ contains the recipe of the broker. Its programs precede Debian's
// wrappers on PATH, because the wrappers require a certain user name and a
// writable root file system.
var RabbitMQ = []Recipe{{
	Name: "rabbitmq", Title: "RabbitMQ", Suite: "trixie", Package: "rabbitmq-server", Account: "rabbitmq",
	Config: config([]string{"rabbitmq-server"}, "PATH=/usr/lib/rabbitmq/bin:"+debianPath, "HOME=/var/lib/rabbitmq"),
	Finish: "FOLDERS=" + finish,
}}

func config(command []string, env ...string) v1.Config {
	return v1.Config{User: uid + ":" + uid, Cmd: command, Env: append(env, "LANG=C.UTF-8")}
}

// excluded are the files that are not needed at run time, relative to the root.
var excluded = []string{
	"boot/*", "dev/*", "proc/*", "sys/*", "tmp/*", "var/tmp/*",
	"var/cache/*", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt",
	"usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*",
	"usr/bin/mysqlslap", "usr/bin/mysqld-debug", "usr/sbin/mysqld-debug", "usr/lib/mysql/plugin/debug", "usr/share/mysql/mysql-test",
}

// Digest returns a hash of the recipe, which is part of the names of its image.
func (r Recipe) Digest() string {
	data, err := json.Marshal(struct {
		Recipe
		Dropped []string
	}{r, excluded})
	if err != nil {
		panic(err) // strings and lists of strings always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:12]
}

// Reference returns the image reference for stacks, which does not depend on the
// recipe.
func (r Recipe) Reference() string { return fmt.Sprintf("localhost/ecommerce-stack/%s:local", r.Name) }

// UniqueReference returns the image reference that contains the recipe's digest.
func (r Recipe) UniqueReference() string {
	return fmt.Sprintf("localhost/ecommerce-stack/%s:%s", r.Name, r.Digest())
}

// Archive returns the path of the image's archive in the cache.
func (r Recipe) Archive(cache string) string {
	return filepath.Join(cache, "images", fmt.Sprintf("%s-%s.tar", r.Name, r.Digest()))
}
