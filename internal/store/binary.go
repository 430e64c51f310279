package store

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A binaryRow scans the rows of an answer of PostgreSQL's in its binary format by hand: a
// catalog has millions of values, and to box each cost as much as all that is done with them. What
// it does not know it leaves to pgx.
type binaryRow struct {
	rows     pgx.Rows
	scanners []func(value []byte) bool // of the columns, for where they go: each returns false for what it does not know
	into     *any                      // the first of where they go

	text    []byte
	pending []pendingText
}

// A pendingText is a text of the row that ends there in all of them.
type pendingText struct {
	into *string
	end  int
}

// of returns b for a row of PostgreSQL's answer, and any other row as it is.
func (b *binaryRow) of(from scanner) scanner {
	rows, ok := from.(pgx.Rows)
	if !ok {
		return from
	}
	b.rows = rows
	return b
}

// Scan implements scanner. All texts of a row share memory, but for those that are
// kept, the id and the spec, and those that are often the same: each such text is shared by
// the rows that come with it one after another.
func (b *binaryRow) Scan(into ...any) error {
	values := b.rows.RawValues()
	if len(values) != len(into) || len(into) == 0 {
		return b.rows.Scan(into...)
	}
	if b.into != &into[0] { // it is the same for all rows, mostly
		b.into, b.scanners = &into[0], b.scanners[:0]
		for i, field := range b.rows.FieldDescriptions() {
			b.scanners = append(b.scanners, b.scanner(&field, into[i]))
		}
	}
	b.text, b.pending = b.text[:0], b.pending[:0]
	for i, value := range values {
		if !b.scanners[i](value) {
			return b.rows.Scan(into...)
		}
	}
	texts, start := string(b.text), 0
	for _, p := range b.pending {
		*p.into, start = texts[start:p.end], p.end
	}
	return nil
}

// A kept scans a text that is held for long, and so is not to hold others.
type kept struct{ orEmpty }

// An often scans a text that many rows have alike.
type often struct{ orEmpty }

// scanner returns what scans the values of a column to target.
func (b *binaryRow) scanner(field *pgconn.FieldDescription, target any) func(value []byte) bool {
	text, uuid := isText(field), isUUID(field)
	known := func(value []byte) bool { return text || value == nil }
	switch target := target.(type) {
	case ignored:
		return func([]byte) bool { return true }
	case *string:
		return func(value []byte) bool { return value != nil && text && b.later(value, target) }
	case orEmpty:
		return func(value []byte) bool { return known(value) && b.later(value, target.into) }
	case often:
		return alike(known, target.into)
	case kept:
		return alike(known, target.into)
	case identity:
		if uuid {
			return func(value []byte) bool { return len(value) == 16 && target.setUUID(value) }
		}
		return func(value []byte) bool { return known(value) && target.set(string(value)) }
	case keyed:
		if uuid {
			return func(value []byte) bool { return len(value) == 16 && target.setUUID(value) }
		}
		return func(value []byte) bool { return known(value) && target.set(value) }
	case *hexadecimal:
		return func(value []byte) bool { return known(value) && target.set(value) }
	}
	if field.Format != pgx.BinaryFormatCode {
		return func([]byte) bool { return false }
	}
	return binaryScanner(field.DataTypeOID, target)
}

// alike scans a text to into that is often the one of the row before.
func alike(known func(value []byte) bool, into *string) func(value []byte) bool {
	last := ""
	return func(value []byte) bool {
		if string(value) != last {
			last = string(value)
		}
		*into = last
		return known(value)
	}
}

// later scans a text that shares memory with the row's others.
func (b *binaryRow) later(value []byte, into *string) bool {
	b.text = append(b.text, value...)
	b.pending = append(b.pending, pendingText{into, len(b.text)})
	return true
}

// isUUID says whether values are UUIDs in 16 bytes.
func isUUID(field *pgconn.FieldDescription) bool {
	return field.DataTypeOID == pgtype.UUIDOID && field.Format == pgx.BinaryFormatCode
}

// isText says whether values are texts as they are; null is the empty one of any type.
func isText(field *pgconn.FieldDescription) bool {
	switch field.DataTypeOID {
	case pgtype.TextOID:
		return true
	case pgtype.JSONOID, pgtype.JSONBOID:
		return field.Format == pgx.TextFormatCode
	}
	return false
}

// binaryScanner returns what scans values that are no texts to target.
func binaryScanner(oid uint32, target any) func(value []byte) bool {
	switch target := target.(type) {
	case instant:
		return func(value []byte) bool { return scanInstant(oid, value, target.into) }
	case *lenient:
		return func(value []byte) bool {
			target.zoned, target.unread = false, ""
			return scanInstant(oid, value, &target.at)
		}
	case truth:
		return func(value []byte) bool { return scanBool(oid, value, target.into) }
	case *bool:
		return func(value []byte) bool { return scanBool(oid, value, target) }
	case orZero[int64]:
		return orNothing(binaryScanner(oid, target.into), target.into)
	case orZero[float64]:
		return orNothing(binaryScanner(oid, target.into), target.into)
	case *int64:
		return func(value []byte) bool {
			if value == nil || oid != pgtype.Int8OID {
				return false
			}
			*target = int64(binary.BigEndian.Uint64(value))
			return true
		}
	case *float64:
		return func(value []byte) bool {
			if value == nil || oid != pgtype.Float8OID {
				return false
			}
			*target = math.Float64frombits(binary.BigEndian.Uint64(value))
			return true
		}
	}
	return func([]byte) bool { return false }
}

// orNothing scans null as 0.
func orNothing[N int64 | float64](scan func(value []byte) bool, into *N) func(value []byte) bool {
	return func(value []byte) bool {
		if value == nil {
			*into = 0
			return true
		}
		return scan(value)
	}
}

func scanBool(oid uint32, value []byte, into *bool) bool {
	if value == nil || oid != pgtype.BoolOID {
		return false
	}
	*into = value[0] != 0
	return true
}

// scanInstant leaves the instants before and after all others to pgx.
func scanInstant(oid uint32, value []byte, into *time.Time) bool {
	if value == nil {
		*into = time.Time{}
		return true
	}
	if oid != pgtype.TimestamptzOID {
		return false
	}
	at := int64(binary.BigEndian.Uint64(value))
	if at == math.MinInt64 || at > math.MaxInt64-postgresEpoch {
		return false
	}
	*into = time.UnixMicro(at + postgresEpoch).UTC()
	return true
}
