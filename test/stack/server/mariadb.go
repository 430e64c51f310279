package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"github.com/onebeat/onebeat/test/harness/process"
)

// MariaDBOptions are the optional things about a MariaDB server.
type MariaDBOptions struct {
	// Fsync makes a commit wait for the disk, as in production. Without it a
	// commit survives a killed server all the same, but not a power cut.
	Fsync bool
}

// MariaDB starts a MariaDB server. Its URL is that of the user onebeat, who may do
// everything, and the database onebeat. As root it runs as the system's user mysql,
// because it refuses root.
func MariaDB(ctx context.Context, options MariaDBOptions) (*Server, error) {
	return open(ctx, "mariadb", func(s *Server) error {
		bin, err := exec.LookPath("mariadbd")
		if err != nil {
			return errors.New("MariaDB is not installed: run `make deps`")
		}
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		owner, err := systemUser("mysql")
		if err != nil {
			return fmt.Errorf("MariaDB refuses to run as root, and: %w", err)
		}
		if err := installMariaDB(s, owner); err != nil {
			return err
		}
		flush := "2" // to the kernel with each commit, to the disk each second
		if options.Fsync {
			flush = "1"
		}
		args := []string{
			"--no-defaults", "--datadir=" + s.path("data"), "--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1",
			"--socket=" + s.path("data", "socket"), "--tmpdir=" + s.path("tmp"), "--pid-file=" + s.path("data", "pid"), "--init-file=" + s.path("init.sql"),
			"--skip-name-resolve", "--skip-log-bin", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
			"--max-connections=200", "--default-time-zone=+00:00", "--innodb-buffer-pool-size=64M",
			"--innodb-flush-log-at-trx-commit=" + flush,
		}
		s.url = fmt.Sprintf("mysql://onebeat:%s@127.0.0.1:%d/onebeat", mariadbPassword, port)
		s.quit = syscall.SIGTERM
		s.start = func() (*process.Process, error) {
			return process.Start(process.Command{Path: bin, Args: args, Log: s.path("log"), Dir: s.dir, User: owner})
		}
		s.ready = func(ctx context.Context) error { return pingMariaDB(ctx, port) }
		return nil
	})
}

const mariadbPassword = "onebeat"

// mariadbInit is carried out at each start, before the server listens.
const mariadbInit = `CREATE DATABASE IF NOT EXISTS onebeat;
CREATE USER IF NOT EXISTS 'onebeat'@'127.0.0.1' IDENTIFIED BY '` + mariadbPassword + `';
GRANT ALL PRIVILEGES ON *.* TO 'onebeat'@'127.0.0.1' WITH GRANT OPTION;
`

// installMariaDB makes the folders of data and of temporary files, owned by owner if that is not nil.
func installMariaDB(s *Server, owner *syscall.Credential) error {
	if err := os.WriteFile(s.path("init.sql"), []byte(mariadbInit), 0o644); err != nil {
		return err
	}
	// Its temporary files too, so that nothing that tidies the shared folder takes them away.
	for _, folder := range []string{"data", "tmp"} {
		if err := os.Mkdir(s.path(folder), 0o700); err != nil {
			return err
		}
		if owner == nil {
			continue
		}
		if err := os.Chown(s.path(folder), int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+s.path("data"), "--skip-test-db",
		"--auth-root-authentication-method=normal", "--innodb-buffer-pool-size=64M")
	cmd.Dir = s.path("data")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

// pingMariaDB returns nil when the server answers its user.
func pingMariaDB(ctx context.Context, port int) error {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = "onebeat", mariadbPassword, "onebeat"
	config.Net, config.Addr = "tcp", fmt.Sprintf("127.0.0.1:%d", port)
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.PingContext(ctx)
}
