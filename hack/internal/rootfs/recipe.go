// Package rootfs makes the images of the database and the broker from Debian
// packages, for clusters that reach no registry. They run under the charts like
// the official images: as user 999, on a read-only root, with the servers'
// programs on PATH.
package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Recipe is all that decides what an image holds.
type Recipe struct {
	Name    string // of the image: mysql or rabbitmq
	Title   string // for people
	Suite   string // Debian's: sid, trixie
	Package string
	Account string // whom the package runs its server as; becomes uid 999
	Config  v1.Config
	// Finish is a shell script that runs inside the new system as root.
	Finish string
}

// uid is the user id of both servers in their official images.
const uid = "999"

const debianPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// finish gives the server's account the uid that the charts run it as, and
// leaves its folders empty: they are mounted.
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

// MySQL is first tried as MySQL, which Debian has in its unstable suite alone;
// that suite moves, and on a day when it does not install MariaDB stands in.
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

// RabbitMQ has its plain programs before Debian's wrappers on PATH: those want
// a certain user name and a writable root.
var RabbitMQ = []Recipe{{
	Name: "rabbitmq", Title: "RabbitMQ", Suite: "trixie", Package: "rabbitmq-server", Account: "rabbitmq",
	Config: config([]string{"rabbitmq-server"}, "PATH=/usr/lib/rabbitmq/bin:"+debianPath, "HOME=/var/lib/rabbitmq"),
	Finish: "FOLDERS=" + finish,
}}

func config(command []string, env ...string) v1.Config {
	return v1.Config{User: uid + ":" + uid, Cmd: command, Env: append(env, "LANG=C.UTF-8")}
}

// dropped is what a server does not need of a Debian system, relative to its root.
var dropped = []string{
	"boot/*", "dev/*", "proc/*", "sys/*", "tmp/*", "var/tmp/*",
	"var/cache/*", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt",
	"usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*",
	"usr/bin/mysqlslap", "usr/bin/mysqld-debug", "usr/sbin/mysqld-debug", "usr/lib/mysql/plugin/debug", "usr/share/mysql/mysql-test",
}

// Digest names the recipe: another recipe makes another image.
func (r Recipe) Digest() string {
	data, err := json.Marshal(struct {
		Recipe
		Dropped []string
	}{r, dropped})
	if err != nil {
		panic(err) // strings and lists of strings always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:12]
}

// Reference is what stacks call the image; whatever recipe it was made by.
func (r Recipe) Reference() string { return fmt.Sprintf("localhost/ecommerce-stack/%s:local", r.Name) }

// Exact is the image of this very recipe.
func (r Recipe) Exact() string {
	return fmt.Sprintf("localhost/ecommerce-stack/%s:%s", r.Name, r.Digest())
}

// Archive is where the image is kept.
func (r Recipe) Archive(cache string) string {
	return filepath.Join(cache, "images", fmt.Sprintf("%s-%s.tar", r.Name, r.Digest()))
}
