package store

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A binaryRow scans a row of PostgreSQL's answer in its binary format by hand: a
// catalog has millions of values, and to box each cost as much as all that is done with them. What
// it does not know it leaves to pgx.
type binaryRow struct {
	rows pgx.Rows
	text []byte
}

// Scan implements scanner. All texts of a row share memory, but for those that are
// kept: the id and the spec.
func (b *binaryRow) Scan(into ...any) error {
	values, fields := b.rows.RawValues(), b.rows.FieldDescriptions()
	if len(values) != len(into) {
		return b.rows.Scan(into...)
	}
	b.text = b.text[:0]
	for i, target := range into {
		if _, ok := textOf(target); ok {
			b.text = append(b.text, values[i]...)
		}
	}
	texts := string(b.text)
	for i, target := range into {
		if text, ok := textOf(target); ok {
			if !isText(&fields[i], values[i], target) {
				return b.rows.Scan(into...)
			}
			*text, texts = texts[:len(values[i])], texts[len(values[i]):]
			continue
		}
		if !scanBinary(&fields[i], values[i], target) {
			return b.rows.Scan(into...)
		}
	}
	return nil
}

// A kept scans a text that is held for long, and so is not to hold others.
type kept struct{ orEmpty }

func textOf(target any) (text *string, ok bool) {
	switch target := target.(type) {
	case *string:
		return target, true
	case orEmpty:
		return target.into, true
	}
	return nil, false
}

// isText says whether a value is a text as it is; null is one where it may be.
func isText(field *pgconn.FieldDescription, value []byte, target any) bool {
	if _, mayBeNull := target.(orEmpty); value == nil {
		return mayBeNull
	}
	return field.DataTypeOID == pgtype.TextOID
}

// scanBinary scans a value that is no text, or returns false.
func scanBinary(field *pgconn.FieldDescription, value []byte, target any) bool {
	oid, null := field.DataTypeOID, value == nil
	switch target := target.(type) {
	case ignored:
		return true
	case kept:
		if !null && oid != pgtype.TextOID {
			return false
		}
		*target.into = string(value)
		return true
	}
	if field.Format != pgx.BinaryFormatCode {
		return false
	}
	switch target := target.(type) {
	case instant:
		return scanInstant(oid, value, target.into)
	case *lenient:
		return scanInstant(oid, value, &target.at)
	case truth:
		return scanBool(oid, value, target.into)
	case *bool:
		return scanBool(oid, value, target)
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
