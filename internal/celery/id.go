package celery

import (
	"crypto/sha1"
	"strconv"
	"time"

	"github.com/gofrs/uuid/v5"
)

// taskIDs is the namespace of onebeat's task ids. It must never change: a slot
// that is sent again, by any version of onebeat, has the same id.
var taskIDs = uuid.NewV5(uuid.NamespaceURL, "https://github.com/onebeat/onebeat#task-id")

// TaskID is the id of the task that an entry sends for a slot, the same whoever
// sends it and however often: the UUIDv5 of the three. Installations that share
// a broker have ids of their own.
func TaskID(installation, entry string, slot time.Time) string {
	return string(AppendTaskID(nil, installation, entry, slot))
}

// AppendTaskID appends what TaskID returns.
func AppendTaskID(dst []byte, installation, entry string, slot time.Time) []byte {
	digits := [20]byte{}
	return appendID(dst, []byte("slot"), []byte(installation), []byte(entry), strconv.AppendInt(digits[:0], slot.UnixMicro(), 10))
}

// TaskIDOfRequest is the id of the task that an entry sends for a run that was
// asked for.
func TaskIDOfRequest(installation, entry, request string) string {
	return string(appendID(nil, []byte("request"), []byte(installation), []byte(entry), []byte(request)))
}

// IDLength is the length of a task id in bytes.
const IDLength = 36

// appendID joins the parts so that no two lists of parts give the same text, and
// names it (RFC 9562, section 5.5), without garbage.
func appendID(dst []byte, parts ...[]byte) []byte {
	room := [256]byte{}
	name := append(room[:0], taskIDs[:]...)
	for _, part := range parts {
		name = strconv.AppendInt(name, int64(len(part)), 10)
		name = append(append(name, ':'), part...)
	}
	sum := sha1.Sum(name)
	id := uuid.UUID(sum[:uuid.Size])
	id.SetVersion(uuid.V5)
	id.SetVariant(uuid.VariantRFC9562)
	return AppendUUID(dst, id)
}

// AppendUUID writes id as text (RFC 9562, section 4).
func AppendUUID(dst []byte, id [uuid.Size]byte) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// RedisSuffix is what follows a queue's name in the key of its Redis list for a
// priority: nothing, or sep and a step. steps and sep are kombu's transport
// options priority_steps and sep; nil and "" are its defaults (kombu 5.7
// transport/redis.py, _q_for_pri).
func RedisSuffix(priority int, steps []int, sep string) string {
	if steps == nil {
		steps = redisSteps
	}
	if sep == "" {
		sep = "\x06\x16"
	}
	if len(steps) == 0 {
		return ""
	}
	n := min(max(priority, 0), 9)
	step := steps[len(steps)-1] // as Python: a list that starts above n wraps to its end
	for i, s := range steps {
		if s > n {
			if i > 0 {
				step = steps[i-1]
			}
			break
		}
	}
	if step == 0 {
		return ""
	}
	return sep + strconv.Itoa(step)
}

var redisSteps = []int{0, 3, 6, 9}
