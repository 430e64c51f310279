package store

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A binaryRow scans a row of PostgreSQL's answer in its binary format by hand: a
// catalog has millions of values, and to box each cost as much as all that is done with them. What
// it does not know it leaves to pgx.
type binaryRow struct {
	rows pgx.Rows

	text    []byte
	pending []pendingText
	last    []string // the last text of each column that has the same text often
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
	values, fields := b.rows.RawValues(), b.rows.FieldDescriptions()
	if len(values) != len(into) {
		return b.rows.Scan(into...)
	}
	if len(b.last) != len(into) {
		b.last = make([]string, len(into))
	}
	b.text, b.pending = b.text[:0], b.pending[:0]
	for i, target := range into {
		if !b.scan(i, &fields[i], values[i], target) {
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

// scan scans the value of column i, or returns false.
func (b *binaryRow) scan(i int, field *pgconn.FieldDescription, value []byte, target any) bool {
	switch target := target.(type) {
	case ignored:
		return true
	case *string:
		return value != nil && b.later(field, value, target)
	case orEmpty:
		return b.later(field, value, target.into)
	case often:
		if !isText(field, value) {
			return false
		}
		if string(value) != b.last[i] {
			b.last[i] = string(value)
		}
		*target.into = b.last[i]
		return true
	case keyed:
		if isUUID(field, value) {
			return target.setUUID(value)
		}
		return isText(field, value) && target.set(value)
	case *hexadecimal:
		return isText(field, value) && target.set(value)
	case kept:
		if isUUID(field, value) {
			*target.into = string(schedule.UUID(value))
			return true
		}
		if string(value) != b.last[i] {
			b.last[i] = string(value)
		}
		*target.into = b.last[i]
		return isText(field, value)
	}
	return scanBinary(field, value, target)
}

// later scans a text that shares memory with the row's others.
func (b *binaryRow) later(field *pgconn.FieldDescription, value []byte, into *string) bool {
	b.text = append(b.text, value...)
	b.pending = append(b.pending, pendingText{into, len(b.text)})
	return isText(field, value)
}

// isUUID says whether a value is a UUID in 16 bytes.
func isUUID(field *pgconn.FieldDescription, value []byte) bool {
	return field.DataTypeOID == pgtype.UUIDOID && field.Format == pgx.BinaryFormatCode && len(value) == 16
}

// isText says whether a value is a text as it is; null is the empty one.
func isText(field *pgconn.FieldDescription, value []byte) bool {
	switch field.DataTypeOID {
	case pgtype.TextOID:
		return true
	case pgtype.JSONOID, pgtype.JSONBOID:
		return value == nil || field.Format == pgx.TextFormatCode
	}
	return value == nil
}

// scanBinary scans a value that is no text, or returns false.
func scanBinary(field *pgconn.FieldDescription, value []byte, target any) bool {
	oid, null := field.DataTypeOID, value == nil
	if field.Format != pgx.BinaryFormatCode {
		return false
	}
	switch target := target.(type) {
	case instant:
		return scanInstant(oid, value, target.into)
	case *lenient:
		target.zoned, target.unread = false, ""
		return scanInstant(oid, value, &target.at)
	case truth:
		return scanBool(oid, value, target.into)
	case *bool:
		return scanBool(oid, value, target)
	case orZero[int64]:
		*target.into = 0
		return null || scanBinary(field, value, target.into)
	case orZero[float64]:
		*target.into = 0
		return null || scanBinary(field, value, target.into)
	case *int64:
		if null || oid != pgtype.Int8OID {
			return false
		}
		*target = int64(binary.BigEndian.Uint64(value))
		return true
	case *float64:
		if null || oid != pgtype.Float8OID {
			return false
		}
		*target = math.Float64frombits(binary.BigEndian.Uint64(value))
		return true
	}
	return false
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
