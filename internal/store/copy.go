package store

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/onebeat/onebeat/internal/schedule"
)

// runColumns are the columns of onebeat_runs in the order of appendCopy.
var runColumns = []string{
	"part", "entry_id", "name", "task", "slot", "through", "count", "state", "reason",
	"task_id", "queue", "request", "node", "term", "sent_at", "recovered",
}

var copyRuns = "COPY onebeat_runs (" + strings.Join(runColumns, ", ") + ") FROM STDIN BINARY"

// A runReader is runs in PostgreSQL's binary format of COPY (its manual, "COPY",
// File Formats), written as they are read: by hand, for boxing each value cost a
// tenth of a herd's time.
type runReader struct {
	part int64
	runs []*schedule.Run

	text  []byte
	read  int // so much of text was read
	begun bool
	ended bool
}

// Read implements io.Reader.
func (r *runReader) Read(into []byte) (int, error) {
	if r.read == len(r.text) {
		r.text, r.read = r.more(r.text[:0]), 0
		if len(r.text) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(into, r.text[r.read:])
	r.read += n
	return n, nil
}

// copied is about how much is written at a time.
const copied = 32 << 10

// more writes what comes next, nothing at the end.
func (r *runReader) more(dst []byte) []byte {
	if !r.begun {
		r.begun = true
		dst = append(dst, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	}
	for len(r.runs) > 0 && len(dst) < copied {
		dst = appendCopy(dst, r.part, r.runs[0])
		r.runs = r.runs[1:]
	}
	if len(r.runs) == 0 && !r.ended {
		r.ended = true
		dst = append(dst, "\xff\xff"...)
	}
	return dst
}

func appendCopy(dst []byte, part int64, r *schedule.Run) []byte {
	dst = copyNumber(binary.BigEndian.AppendUint16(dst, uint16(len(runColumns))), part)
	dst = copyText(copyText(copyText(dst, string(r.Entry)), r.Name), r.Task)
	dst = copyInstant(copyInstant(dst, r.Slot), r.Through)
	dst = copyNumber(dst, int64(r.Count))
	dst = copyText(copyText(dst, string(r.State)), r.Reason)
	dst = copyText(copyText(copyText(dst, r.TaskID), r.Queue), r.Request)
	dst = copyNumber(copyText(dst, r.Node), r.Term)
	dst = copyInstant(dst, r.SentAt)
	recovered := byte(0)
	if r.Recovered {
		recovered = 1
	}
	return append(dst, 0, 0, 0, 1, recovered)
}

func copyText(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(text))), text...)
}

func copyNumber(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(n))
}

// postgresEpoch is the Unix time in microseconds of PostgreSQL's instant 0.
const postgresEpoch = 946_684_800_000_000

// copyInstant writes a timestamptz, null for the zero Time.
func copyInstant(dst []byte, at time.Time) []byte {
	if at.IsZero() {
		return append(dst, "\xff\xff\xff\xff"...)
	}
	return copyNumber(dst, at.UnixMicro()-postgresEpoch)
}

// An array is an array of PostgreSQL in its binary format (array_recv): a column
// of thousands is written in one go, not boxed value by value.
type array []byte

// OIDs of elements (pg_type.dat).
const (
	oidNumber  = 20   // int8
	oidText    = 25   // text
	oidInstant = 1184 // timestamptz
)

func newArray[T any](values []T, element uint32, size int, write func([]byte, T) []byte) array {
	a := make(array, 0, 20+len(values)*(4+size))
	dimensions := uint32(1)
	if len(values) == 0 {
		dimensions = 0
	}
	a = binary.BigEndian.AppendUint32(a, dimensions)
	a = binary.BigEndian.AppendUint32(a, 1) // some may be null
	a = binary.BigEndian.AppendUint32(a, element)
	if dimensions > 0 {
		a = binary.BigEndian.AppendUint32(a, uint32(len(values)))
		a = binary.BigEndian.AppendUint32(a, 1) // the first index
	}
	for _, value := range values {
		a = write(a, value)
	}
	return a
}

// arrayOf makes an array of a slice that it knows, else nil.
func arrayOf(arg any) array {
	switch values := arg.(type) {
	case []string:
		return newArray(values, oidText, 36, copyText)
	case []int64:
		return newArray(values, oidNumber, 8, copyNumber)
	case []time.Time:
		return newArray(values, oidInstant, 8, copyInstant)
	}
	return nil
}

// encodeArrays lets a connection take arrays.
func encodeArrays(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	types.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapArray}, types.TryWrapEncodePlanFuncs...)
	return nil
}

// wrapArray is asked for a plan to encode value by. The plan that comes next, for
// a slice in pgx's own way, has to be there and is never used.
func wrapArray(value any) (plan pgtype.WrappedEncodePlanNextSetter, next any, ok bool) {
	a, ok := value.(array)
	if !ok {
		return nil, nil, false
	}
	switch binary.BigEndian.Uint32(a[8:]) {
	case oidNumber:
		next = []int64(nil)
	case oidInstant:
		next = []time.Time(nil)
	default:
		next = []string(nil)
	}
	return arrayPlan{}, next, true
}

type arrayPlan struct{}

func (arrayPlan) SetNext(pgtype.EncodePlan) {}

func (arrayPlan) Encode(value any, dst []byte) ([]byte, error) {
	a := value.(array)
	if cap(dst)-len(dst) < len(a) {
		dst = slices.Grow(dst, 2*len(a)) // the columns after the first mostly have less
	}
	return append(dst, a...), nil
}
