package e2e

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/failpoint"
)

// refused starts a node that is to refuse, with the exit code 2, and returns its last
// line.
func (s *site) refused(t *testing.T, env []string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"serve", "--config", s.config(t)}, flags...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 2 {
		t.Fatalf("serve: %v, want the exit code 2\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "onebeat: ") {
		t.Errorf("the last line is %q, want the reason", last)
	}
	return last
}

// says fails the test unless the line has all of the words.
func says(t *testing.T, line string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(line, word) {
			t.Errorf("it says %q, want %q in it", line, word)
		}
	}
}

// What waiting would not mend is refused at the start, in a line that says what to do.
func TestANodeThatCannotBeRightDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bare := newBareSite(t, newDatabase(t, kind), newBroker(t, redis))
			if kind == sqlite {
				bare.database.exec(t, "CREATE TABLE other (id integer)") // the file is there
			}
			says(t, bare.refused(t, nil), "there is no table celery_beat_schedules", "run `onebeat migrate --catalog native`")

			s := newSite(t, kind, redis)
			for _, step := range []string{"15s", "-15s"} {
				file := filepath.Join(t.TempDir(), "step")
				if err := os.WriteFile(file, []byte(step), 0o600); err != nil {
					t.Fatal(err)
				}
				env := []string{failpoint.StepEnv + "=" + file}
				says(t, s.refused(t, env), "this machine's clock says", "set the one that is wrong", "--clock-skew")
				n := s.launch(t, env, "--clock-skew", "20s")
				n.await(t, "entries loaded")
				n.stop(t)
			}
		})
	}
}

// A user who may not make onebeat's own tables would wait for them for ever.
func TestAUserWhoMayNotMakeTheTablesIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newBareSite(t, newDatabase(t, kind), newBroker(t, redis))
			s.database.exec(t, "CREATE TABLE celery_beat_schedules (id char(36), name text, task_name text, cron_expression text, "+
				"enabled boolean, args text, kwargs text, created_at timestamp)")
			at, err := url.Parse(s.database.url)
			if err != nil {
				t.Fatal(err)
			}
			role := "reader_" + newID()[:8]
			statements := []string{"CREATE ROLE " + role + " LOGIN PASSWORD 'rights'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "GRANT SELECT ON celery_beat_schedules TO " + role}
			ends := []string{"DROP OWNED BY " + role, "DROP ROLE " + role}
			if kind == mariadb {
				statements = []string{"CREATE USER " + role + " IDENTIFIED BY 'rights'", "GRANT SELECT ON celery_beat_schedules TO " + role}
				ends = []string{"DROP USER " + role}
			}
			for _, statement := range statements {
				s.database.exec(t, statement)
			}
			t.Cleanup(func() {
				for _, statement := range ends {
					if _, err := s.database.db.Exec(statement); err != nil {
						t.Error(err)
					}
				}
			})
			at.User = url.UserPassword(role, "rights")
			says(t, s.refused(t, nil, "--database", at.String()), "may not make or read onebeat's own tables", "run `onebeat migrate` once with a user who may")
		})
	}
}
