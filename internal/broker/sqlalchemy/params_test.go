package sqlalchemy

import "testing"

// What libpq keeps to itself is not asked of the server, which knows no such setting and would refuse.
func TestTheServerIsNotAskedForWhatIsTheClients(t *testing.T) {
	read, err := parseURL("sqla+postgresql://me@h/db?keepalives=1&keepalives_idle=30&gssencmode=disable&search_path=a")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keepalives", "keepalives_idle", "gssencmode"} {
		if _, asked := read.postgres.RuntimeParams[name]; asked {
			t.Errorf("the server is asked for %s", name)
		}
	}
	if got := read.postgres.RuntimeParams["search_path"]; got != "a" {
		t.Errorf("search_path is %q, want a", got)
	}
}
