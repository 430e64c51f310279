package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// nodesKept is for how long nodes that are not there any more keep their row.
const nodesKept = 24 * time.Hour

// A Node is one that was seen lately.
type Node struct {
	Name string
	Fit  bool // to have shards: it reaches the broker and knows the catalog
	Ago  time.Duration

	shards int // that it parts entries among
}

// A Holder is who holds a shard's lease; the zero Holder is nobody.
type Holder struct {
	Node    string
	Guarded bool // its session holds a lock that ends with it
}

// A Roll is who is there, and who holds which shard.
type Roll struct {
	Nodes   []Node   // in order of their names
	Missed  Node     // the one that was seen last of those that were not seen lately, and have not left; the zero Node if there is none
	Holders []Holder // one a shard

	Asked time.Time       // before which it is not from
	left  []time.Duration // how long the leases last from then on, one a shard
}

// ErrShards says that the installation parts entries among another number of shards.
var ErrShards = errors.New("the installation has another number of shards now: give this node the same --shards as the others")

// Join makes this node known. The installation has as many shards as its nodes say
// that it has: an *InputError says which other node is of another opinion, or what has to end
// before another number counts: all leases and all claims, for an entry's claim must
// be found by whoever comes to lead it.
//
// Where a node is there that has the name of this one, as in containers whose host names are equal, this one
// is told apart by a number behind it from then on: Node says.
func (s *Store) Join(ctx context.Context) error {
	shards := s.options.Shards
	was, name := "", s.options.Node
	if s.appear != nil {
		if err := s.appear(ctx); err != nil {
			s.log.Warn("the other nodes will not know this one for a node: if it is stopped in the middle of a write, they cannot write until it goes on", "err", err)
		}
	}
	_, err := s.parted(ctx)
	if err == nil {
		err = s.db.transact(ctx, mode{}, func(tx transaction) error {
			if _, err := tx.exec(ctx, "shards_lock"); err != nil {
				return err
			}
			if err := tx.each(ctx, "meta", func(row scanner) error { return row.Scan(&was) }, "shards"); err != nil {
				return err
			}
			if was != strconv.Itoa(shards) {
				if err := s.reshard(ctx, tx, was); err != nil {
					return err
				}
			}
			if _, err := tx.exec(ctx, "nodes_prune", nodesKept.Microseconds()); err != nil {
				return err
			}
			roll, err := s.roll(ctx, tx, s.leaseFor/2)
			if err != nil {
				return err
			}
			if !s.joined {
				name = roll.unused(name)
			}
			_, err = tx.exec(ctx, "node_seen", name, shards, false)
			return err
		})
	}
	if err == nil {
		s.options.Node, s.joined = name, true
	}
	if input := new(InputError); err != nil && !errors.As(err, &input) {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	return err
}

// Node is the name of this node among the others.
func (s *Store) Node() string { return s.options.Node }

// unused returns the name, or the first one behind which a number makes it nobody's.
func (r *Roll) unused(name string) string {
	free := name
	for number := 2; slices.ContainsFunc(r.Nodes, func(n Node) bool { return n.Name == free }); number++ {
		free = fmt.Sprintf("%s#%d", name, number)
	}
	return free
}

// parted returns how many shards the installation has.
func (s *Store) parted(ctx context.Context) (shards int, err error) {
	text, err := s.meta(ctx, "shards", func() (string, error) { return "1", nil })
	if err == nil {
		shards, err = strconv.Atoi(text)
	}
	if err != nil {
		return 0, fmt.Errorf("read the number of shards: %w", err)
	}
	return shards, nil
}

// alone takes the leases of all shards, of which no slot is claimed and not recorded, until
// free is called. It returns their terms. A node that runs is an *InputError.
func (s *Store) alone(ctx context.Context, owner string) (terms []int64, free func(), err error) {
	var held []int64
	free = func() {
		for number, term := range held {
			_ = s.Shard(number).Release(context.WithoutCancel(ctx), term) // else it ends by itself
		}
	}
	shards, err := s.parted(ctx)
	for number := 0; number < shards && err == nil; number++ {
		var lease schedule.Lease
		var won bool
		lease, won, err = s.Shard(number).acquire(ctx, owner, shards)
		switch {
		case err == nil && won:
			held = append(held, lease.Term)
		case err == nil:
			err = &InputError{"a node runs: stop all of them first"}
		}
	}
	open := 0
	if err == nil {
		err = s.db.each(ctx, "journal_open", func(row scanner) error { return row.Scan(&open) })
	}
	if err == nil && open > 0 {
		err = &InputError{fmt.Sprintf("a node that died left %s claimed and not recorded: start `onebeat serve` once, and stop it", schedule.Counted(open, "batch"))}
	}
	if err != nil {
		free()
		return nil, nil, err
	}
	return held, free, nil
}

// reshard makes the installation one of as many shards as the options say.
func (s *Store) reshard(ctx context.Context, tx transaction, was string) error {
	roll, err := s.roll(ctx, tx, s.leaseFor)
	if err != nil {
		return err
	}
	for _, node := range roll.Nodes {
		if node.Name != s.options.Node {
			return &InputError{fmt.Sprintf("node %s, seen %v ago, has --shards %s and this one %d: give both the same, or stop all nodes first",
				node.Name, node.Ago.Round(100*time.Millisecond), was, s.options.Shards)}
		}
	}
	held := false
	err = tx.each(ctx, "leases", func(row scanner) error {
		var left int64
		err := row.Scan(&left)
		held = held || left > 0
		return err
	})
	if err != nil {
		return err
	}
	open := 0
	if err := tx.each(ctx, "journal_open", func(row scanner) error { return row.Scan(&open) }); err != nil {
		return err
	}
	switch {
	case held:
		return &InputError{fmt.Sprintf("a node with --shards %s holds a lease still: stop it, or start this one again when the lease of a crashed node has ended, after %v", was, s.leaseFor)}
	case open > 0:
		return &InputError{fmt.Sprintf("nodes with --shards %s left %s claimed and not recorded: start one with that once, and stop it", was, schedule.Counted(open, "batch"))}
	}
	if _, err := tx.exec(ctx, "terms_end"); err != nil { // of whoever was frozen
		return err
	}
	if err := s.partPutOffs(ctx, tx); err != nil {
		return err
	}
	_, err = tx.exec(ctx, "meta_update", "shards", was, strconv.Itoa(s.options.Shards))
	return err
}

// Attend says that this node is there, and whether it is fit to have shards, and returns
// what Roll does, with this node in it. It is to be called again and again. ErrShards says that nodes with another number of shards have
// come meanwhile.
func (s *Store) Attend(ctx context.Context, fit bool, within time.Duration) (Roll, error) {
	s.beats.attend(fit, within)
	roll, noted := s.emptyRoll(), false
	err := s.db.attend(ctx, s.options.Node, s.options.Shards, fit, func(row scanner) error {
		what, _, err := roll.scan(row, within)
		noted = noted || what == rollNoted
		return err
	})
	switch {
	case err != nil:
		return Roll{}, fmt.Errorf("tell the other nodes of this one: %w", err)
	case !noted:
		return Roll{}, ErrShards
	}
	s.seen(&roll, fit)
	return roll, nil
}

// Attends says that Attend need not be called, for the renewal of a lease has lately said the same: Attended brings what that returned.
func (s *Store) Attends(fit bool, within time.Duration) bool { return s.beats.attend(fit, within) }

// Attended brings what Attend would have returned where a lease's renewal was asked in its place.
func (s *Store) Attended() <-chan Roll { return s.beats.attended }

// seen takes over a roll that this node is in, or is to be.
func (s *Store) seen(roll *Roll, fit bool) {
	roll.note(Node{Name: s.options.Node, Fit: fit, shards: s.options.Shards})
	roll.sort()
	roll.only(s.options.Shards)
	s.rolled.Store(roll)
}

// Roll returns the nodes of as many shards as this one that were seen within the last
// while, and the holders of leases that have not ended.
func (s *Store) Roll(ctx context.Context, within time.Duration) (Roll, error) {
	roll, err := s.roll(ctx, s.db, within)
	if err != nil {
		return Roll{}, fmt.Errorf("look who is there: %w", err)
	}
	roll.only(s.options.Shards)
	s.rolled.Store(&roll)
	return roll, nil
}

// Present is Roll for who is no node: by as many shards as the installation has, whatever the options say.
func (s *Store) Present(ctx context.Context, within time.Duration) (Roll, error) {
	shards := 1
	err := s.db.each(ctx, "meta", func(row scanner) error {
		var text string
		err := row.Scan(&text)
		if err == nil {
			shards, err = strconv.Atoi(text)
		}
		return err
	}, "shards")
	var roll Roll
	if err == nil {
		roll, err = s.rollOf(ctx, s.db, within, shards)
	}
	if err != nil {
		return Roll{}, fmt.Errorf("look who is there: %w", err)
	}
	roll.only(shards)
	return roll, nil
}

func (s *Store) emptyRoll() Roll { return emptyRoll(s.options.Shards) }

func emptyRoll(shards int) Roll {
	return Roll{Holders: make([]Holder, shards), Asked: time.Now(), left: make([]time.Duration, shards)}
}

func (s *Store) roll(ctx context.Context, on querier, within time.Duration) (Roll, error) {
	return s.rollOf(ctx, on, within, s.options.Shards)
}

func (s *Store) rollOf(ctx context.Context, on querier, within time.Duration, shards int) (Roll, error) {
	roll := emptyRoll(shards)
	err := on.each(ctx, "roll", func(row scanner) error {
		_, _, err := roll.scan(row, within)
		return err
	})
	roll.sort()
	return roll, err
}

// only leaves out the nodes of another number of shards.
func (r *Roll) only(shards int) {
	r.Nodes = slices.DeleteFunc(r.Nodes, func(node Node) bool { return node.shards != shards })
}

func (r *Roll) sort() {
	slices.SortFunc(r.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}

// What a row of the statements roll, attend and beat is.
const (
	rollNode    = "node"
	rollLease   = "lease"
	rollNoted   = "noted"   // not roll's: this node was noted
	rollRenewed = "renewed" // beat's alone: so was that the lease lasts on
	rollNews    = "news"    // and there is something new in the log of changes
)

// scan takes a row over. Leases that have ended are left out, and nodes that were not seen within the last
// while.
func (r *Roll) scan(row scanner, within time.Duration) (what string, micros int64, err error) {
	var name string
	var number int64
	var yes bool
	if err := row.Scan(&what, &name, &number, &yes, &micros); err != nil {
		return "", 0, err
	}
	length := time.Duration(micros) * time.Microsecond
	switch {
	case what == rollNode && length <= within:
		r.Nodes = append(r.Nodes, Node{Name: name, Fit: yes, Ago: length, shards: int(number)})
	case what == rollNode && (r.Missed.Name == "" || length < r.Missed.Ago):
		r.Missed = Node{Name: name, Ago: length}
	case what == rollLease && length > 0 && int(number) < len(r.Holders):
		r.Holders[number], r.left[number] = Holder{name, yes}, length
	}
	return what, micros, nil
}

// note takes a node over that may be there already.
func (r *Roll) note(node Node) {
	r.Nodes = append(slices.DeleteFunc(r.Nodes, func(n Node) bool { return n.Name == node.Name }), node)
}

// attendApart is attend for databases that cannot say and ask in one statement.
func attendApart(ctx context.Context, db database, node string, shards int, fit bool, row func(scanner) error) error {
	noted := int64(0)
	// It need not last, and a writer that froze while it waits for the disk would keep SQLite from all others.
	err := db.transact(ctx, mode{relaxed: true}, func(tx transaction) (err error) {
		noted, err = tx.exec(ctx, "node_seen", node, shards, fit)
		return err
	})
	if err != nil || noted == 0 {
		return err
	}
	if err := row(notedAnswer{}); err != nil {
		return err
	}
	return db.each(ctx, "roll", row)
}

// A notedAnswer is the row that says that this node was noted.
type notedAnswer struct{}

// Scan implements scanner.
func (notedAnswer) Scan(into ...any) error {
	*into[0].(*string) = rollNoted
	return nil
}

// Leave makes this node one that is not there.
func (s *Store) Leave(ctx context.Context) error {
	s.beats.leave()
	return s.Gone(ctx, s.options.Node, 0)
}

// Gone notes that a node is not there that was not seen for so long, as when its session
// is seen to have ended.
func (s *Store) Gone(ctx context.Context, node string, ago time.Duration) error {
	if _, err := s.db.exec(ctx, "node_gone", node, ago.Microseconds()); err != nil {
		return fmt.Errorf("note that node %s has gone: %w", node, err)
	}
	return nil
}

// Held says that another node has the shard's lease and that nothing is to be done but to
// Wait, as far as this node knows from when it looked last: false says nothing. Who has no guard is not told when
// that node goes, and has to look.
func (s *Shard) Held() bool {
	holder, left := s.lately()
	_, untold := s.guard.(noGuard)
	return left > 0 && holder.Guarded && holder.Node != s.store.options.Node && !s.guard.has() && !untold
}

// lately returns who holds the lease, and for how long at least, as it was when this
// node looked last; nobody if that is long ago.
func (s *Shard) lately() (Holder, time.Duration) {
	roll := s.store.rolled.Load()
	if roll == nil {
		return Holder{}, 0
	}
	return roll.Holders[s.number], roll.left[s.number] - time.Since(roll.Asked)
}

// Orphaned says whether the holder's session has ended: the lease can be had then. Until
// Acquire or Yield no other node is told so.
func (s *Shard) Orphaned(ctx context.Context, holder Holder) bool {
	if !holder.Guarded {
		s.guard.free() // for the holder to have: it tries with each renewal
		return false
	}
	return s.guarded(ctx)
}

// Yield leaves a shard that could be had to another node.
func (s *Shard) Yield() { s.guard.free() }
