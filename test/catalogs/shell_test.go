package catalogs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

// A shellServer runs a scheduler's shell, test/python/<name>_shell.py, each time in a process of its own, which
// has all that takes long to import. See test/python/shell_server.py.
type shellServer struct {
	once   sync.Once
	socket string
	node   *process.Process
	err    error
}

// shellServers are of *shellServer, by the variable that names their Python.
var shellServers sync.Map

// imports are what a shell imports for the most part: of Django's, what needs no settings.
var imports = map[string][]string{
	"django": {
		"django_site", "psycopg2", "celery.schedules", "cron_descriptor", "django.core.management.commands.migrate",
		"django.db.backends.mysql.base", "django.db.backends.postgresql.base", "django.db.backends.sqlite3.base",
		"django.template.defaulttags", "django.views.debug", "django.views.generic",
	},
	"sqlalchemy": {
		"sqlalchemy_celery_beat.models", "sqlalchemy_celery_beat.session", "sqlalchemy.dialects.mysql.pymysql",
		"sqlalchemy.dialects.postgresql.psycopg2", "sqlalchemy.dialects.sqlite.pysqlite", "psycopg2", "pymysql",
	},
}

// shell returns the socket of the catalog's server, which is started for the first who asks.
func (c catalog) shell(t *testing.T) string {
	t.Helper()
	value, _ := shellServers.LoadOrStore(c.variable(), new(shellServer))
	s := value.(*shellServer)
	python := harness.Env(t, c.variable())
	s.once.Do(func() { s.err = s.start(c, python) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.socket
}

func (s *shellServer) start(c catalog, python string) (err error) {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	s.socket = filepath.Join(madeIn, strings.ToLower(c.variable()))
	s.node, err = process.Start(process.Command{
		Path: python, Args: append([]string{"shell_server.py", c.name + "_shell.py", s.socket}, imports[c.name]...),
		Dir: filepath.Join(root, "test", "python"), Log: s.socket + ".log", Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s.node.Await(ctx, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// runShell runs code in a shell and returns what it printed.
func runShell(ctx context.Context, socket string, args, env []string, code string) (string, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	request := map[string]any{"args": args, "env": append([]string{}, env...), "code": code}
	if err := json.NewEncoder(connection).Encode(request); err != nil {
		return "", err
	}
	text, err := io.ReadAll(connection) // to the end of the process
	if err != nil {
		return "", err
	}
	var answer struct {
		Code          any // of sys.exit: 0 or null if all is well
		Out, Problems string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("it answered %q: %w", text, err)
	}
	if answer.Code != nil && answer.Code != 0.0 {
		return "", fmt.Errorf("it ended with %v\n%s", answer.Code, answer.Problems)
	}
	return answer.Out, nil
}

// endShells ends the servers.
func endShells() {
	shellServers.Range(func(_, value any) bool {
		if s := value.(*shellServer); s.node != nil {
			s.node.Kill()
		}
		return true
	})
}

// Each shell is a process of its own: what one leaves in its own, no other finds; and it is told of its faults.
func TestShellsShareNothing(t *testing.T) {
	each(t, func(t *testing.T, c catalog) {
		if c.kind != "SQLite" {
			return
		}
		d := newTables(t, c)
		d.python(t, "import decimal, os\ndecimal.left = os.environ['LEFT'] = 'this'\ncron(minute='7')", nil)
		var found []any
		d.python(t, "import decimal, os\ntell([os.environ.get('LEFT'), hasattr(decimal, 'left'), first_cron().minute])", &found)
		if want := []any{nil, false, "7"}; !slices.Equal(found, want) {
			t.Errorf("the next shell finds %v, want %v", found, want)
		}
		for _, code := range []string{"raise ValueError('of this kind')", "sys.exit('of this kind')"} {
			if err := d.models(t, code)(nil); err == nil || !strings.Contains(err.Error(), "of this kind") {
				t.Errorf("%s: %v, want its message", code, err)
			}
		}
	})
}
