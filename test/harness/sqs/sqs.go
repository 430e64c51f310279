// Package sqs imitates Amazon SQS on loopback, from its documents: the JSON protocol
// (AWS JSON 1.0) with the actions that kombu and onebeat use.
//
// Standard and FIFO queues, visibility, long polling, delays, batches with their
// bounds, and the five minutes in which a FIFO queue takes a message with the same
// deduplication id but once. What it says in more words than a client reads is left
// out, signatures are not checked, and nothing is kept on disk. A standard queue here
// keeps its order, which the real one promises nobody.
//
// Faults can be asked for: requests and entries of batches that are throttled, answers
// that are lost. Its time can be moved on.
package sqs

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// window is how long a FIFO queue remembers deduplication ids.
const window = 5 * time.Minute

// The bounds of a message and of a batch, in bytes.
const most = 1 << 20

// A Server is an SQS of a test's own. Its methods may be called from any goroutine.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	changed  chan struct{} // closed when a message may have become visible
	queues   map[string]*queue
	ahead    time.Duration
	throttle int
	fail     int
	lose     map[string]int // requests by action
	refuse   string
	deny     map[string]string // by queue's name
	requests map[string]int
	serial   int
}

// A queue is one queue.
type queue struct {
	name       string
	attributes map[string]string
	messages   []*message
	seen       map[string]time.Time // deduplication ids of a FIFO queue
}

// A message is one message.
type message struct {
	id, body, group string
	attributes      json.RawMessage
	visibleAt       time.Time
	handle          string // of the last receipt
	received        int
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{queues: map[string]*queue{}, deny: map[string]string{}, lose: map[string]int{}, requests: map[string]int{}, changed: make(chan struct{})}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// URL is the server as a broker URL of kombu.
func (s *Server) URL() string {
	return "sqs://key:secret@" + strings.TrimPrefix(s.http.URL, "http://")
}

// QueueURL is the address of a queue.
func (s *Server) QueueURL(name string) string { return s.http.URL + "/123456789012/" + name }

// Advance moves the server's time on.
func (s *Server) Advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += by
	s.wake()
}

// Throttle refuses the next requests that send messages.
func (s *Server) Throttle(requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.throttle = requests
}

// FailEntries fails the next entries of batches by a fault of the server's.
func (s *Server) FailEntries(entries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = entries
}

// LoseAnswers carries out the next requests of an action and breaks the connection
// where it should answer.
func (s *Server) LoseAnswers(action string, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose[action] = requests
}

// Refuse answers all requests with an error's code from now on, as SQS does to who has no key; with
// none it serves them again.
func (s *Server) Refuse(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = code
}

// Deny answers all requests that name the queue with an error's code from now on.
func (s *Server) Deny(queue, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deny[queue] = code
}

// Requests is how often an action was asked for.
func (s *Server) Requests(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[action]
}

// Queues returns the names of all queues.
func (s *Server) Queues() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.queues {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Attributes returns a queue's attributes.
func (s *Server) Attributes(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		return q.attributes
	}
	return nil
}

// Bodies takes all messages off a queue that pick wants, in order.
func (s *Server) Bodies(name string, pick func(body string) bool) (bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return nil
	}
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool {
		if !pick(m.body) {
			return false
		}
		bodies = append(bodies, m.body)
		return true
	})
	return bodies
}

// A request holds the members of all actions that are served.
type request struct {
	QueueName, QueueUrl, QueueNamePrefix string
	Attributes                           map[string]string
	AttributeNames                       []string
	MaxResults                           int
	entry
	Entries             []entry
	MaxNumberOfMessages int
	WaitTimeSeconds     int
}

// An entry is one message of a request, or of a batch.
type entry struct {
	Id, MessageBody, MessageGroupId, MessageDeduplicationId, ReceiptHandle string

	DelaySeconds, VisibilityTimeout *int
	MessageAttributes               json.RawMessage
}

// A fault is an answer that refuses.
type fault struct{ code, message string }

func (f *fault) Error() string { return f.code + ": " + f.message }

func invalid(format string, args ...any) error {
	return &fault{"InvalidParameterValue", fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	var in request
	err := json.NewDecoder(r.Body).Decode(&in)
	var out any
	switch {
	case err != nil:
		err = &fault{"SerializationException", err.Error()}
	case s.refused() != "":
		err = &fault{s.refused(), "the security token included in the request is invalid"}
	case action == "ReceiveMessage":
		out, err = s.receive(r, in)
	default:
		s.mu.Lock()
		out, err = s.do(action, in)
		lost := s.lose[action] > 0
		if lost {
			s.lose[action]--
		}
		s.mu.Unlock()
		if lost {
			panic(http.ErrAbortHandler)
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if err != nil {
		f := err.(*fault)
		w.Header().Set("X-Amzn-Query-Error", f.code+";Sender")
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"__type": "com.amazonaws.sqs#" + f.code, "message": f.message}
	}
	_ = json.NewEncoder(w).Encode(out) // a client that is gone needs no answer
}

func (s *Server) refused() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse
}

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// wake lets those go on that wait for messages.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) do(action string, in request) (any, error) {
	s.requests[action]++
	name := in.QueueName
	if name == "" {
		name = in.QueueUrl[strings.LastIndexByte(in.QueueUrl, '/')+1:]
	}
	if code := s.deny[name]; code != "" {
		return nil, &fault{code, "the request for the queue " + name + " is denied"}
	}
	if s.throttle > 0 && strings.HasPrefix(action, "SendMessage") {
		s.throttle--
		return nil, &fault{"RequestThrottled", "the rate of requests is exceeded"}
	}
	switch action {
	case "CreateQueue":
		return s.create(in)
	case "ListQueues":
		urls := []string{}
		for name := range s.queues {
			if strings.HasPrefix(name, in.QueueNamePrefix) {
				urls = append(urls, s.QueueURL(name))
			}
		}
		slices.Sort(urls)
		return map[string]any{"QueueUrls": urls}, nil
	case "GetQueueUrl":
		if s.queues[in.QueueName] == nil {
			return nil, missing
		}
		return map[string]any{"QueueUrl": s.QueueURL(in.QueueName)}, nil
	}
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	switch action {
	case "SendMessage":
		id, err := s.send(q, in.entry)
		return map[string]any{"MessageId": id, "MD5OfMessageBody": sum(in.MessageBody)}, err
	case "SendMessageBatch":
		return s.batch(q, in.Entries, func(e entry) (map[string]any, error) {
			if s.fail > 0 {
				s.fail--
				return nil, &fault{"ServiceUnavailable", "try again"}
			}
			id, err := s.send(q, e)
			return map[string]any{"MessageId": id, "MD5OfMessageBody": sum(e.MessageBody)}, err
		})
	case "DeleteMessage":
		return struct{}{}, s.remove(q, in.ReceiptHandle)
	case "DeleteMessageBatch":
		return s.batch(q, in.Entries, func(e entry) (map[string]any, error) { return map[string]any{}, s.remove(q, e.ReceiptHandle) })
	case "ChangeMessageVisibility":
		for _, m := range q.messages {
			if m.handle == in.ReceiptHandle && in.VisibilityTimeout != nil {
				m.visibleAt = s.now().Add(time.Duration(*in.VisibilityTimeout) * time.Second)
				s.wake()
				return struct{}{}, nil
			}
		}
		return nil, &fault{"ReceiptHandleIsInvalid", "the receipt handle is not valid"}
	case "GetQueueAttributes":
		out := map[string]string{"ApproximateNumberOfMessages": fmt.Sprint(len(q.messages))}
		for name, value := range q.attributes {
			out[name] = value
		}
		for name := range out {
			if !slices.Contains(in.AttributeNames, name) && !slices.Contains(in.AttributeNames, "All") {
				delete(out, name)
			}
		}
		return map[string]any{"Attributes": out}, nil
	case "PurgeQueue":
		q.messages = nil
		return struct{}{}, nil
	case "DeleteQueue":
		delete(s.queues, q.name)
		return struct{}{}, nil
	}
	return nil, &fault{"UnsupportedOperation", action + " is not imitated"}
}

var missing = &fault{"QueueDoesNotExist", "the specified queue does not exist"}

func (s *Server) find(url string) (*queue, error) {
	if q := s.queues[url[strings.LastIndexByte(url, '/')+1:]]; q != nil {
		return q, nil
	}
	return nil, missing
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$|^[A-Za-z0-9_-]{1,75}\.fifo$`)

func (s *Server) create(in request) (any, error) {
	if !queueName.MatchString(in.QueueName) {
		return nil, invalid("can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if (in.Attributes["FifoQueue"] == "true") != strings.HasSuffix(in.QueueName, ".fifo") {
		return nil, invalid("the name of a FIFO queue can only end with the .fifo suffix, and no other's can")
	}
	if q := s.queues[in.QueueName]; q != nil {
		for name, value := range in.Attributes {
			if q.attributes[name] != value {
				return nil, &fault{"QueueNameExists", "a queue already exists with the same name and a different value for attribute " + name}
			}
		}
	} else {
		s.queues[in.QueueName] = &queue{name: in.QueueName, attributes: in.Attributes, seen: map[string]time.Time{}}
	}
	return map[string]any{"QueueUrl": s.QueueURL(in.QueueName)}, nil
}

func sum(body string) string {
	digest := md5.Sum([]byte(body))
	return hex.EncodeToString(digest[:])
}

func (q *queue) fifo() bool { return strings.HasSuffix(q.name, ".fifo") }

// send takes a message, or the first of those with its deduplication id.
func (s *Server) send(q *queue, e entry) (id string, err error) {
	now := s.now()
	switch {
	case e.MessageBody == "":
		return "", &fault{"MissingParameter", "the request must contain the parameter MessageBody"}
	case len(e.MessageBody) > most:
		return "", invalid("one or more parameters are invalid. Reason: Message must be shorter than %d bytes", most)
	case q.fifo() && e.MessageGroupId == "":
		return "", &fault{"MissingParameter", "the request must contain the parameter MessageGroupId"}
	case q.fifo() && e.MessageDeduplicationId == "":
		return "", invalid("the queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case q.fifo() && e.DelaySeconds != nil && *e.DelaySeconds > 0:
		return "", invalid("value %d for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type", *e.DelaySeconds)
	case !q.fifo() && e.MessageDeduplicationId != "":
		return "", invalid("MessageDeduplicationId is not valid for this queue type")
	case e.DelaySeconds != nil && (*e.DelaySeconds < 0 || *e.DelaySeconds > 900):
		return "", invalid("value %d for parameter DelaySeconds is invalid", *e.DelaySeconds)
	case len(e.MessageDeduplicationId) > 128 || len(e.MessageGroupId) > 128:
		return "", invalid("an id has more than 128 characters")
	}
	s.serial++
	id = fmt.Sprintf("message-%d", s.serial)
	if q.fifo() {
		if at, seen := q.seen[e.MessageDeduplicationId]; seen && now.Sub(at) < window {
			return id, nil
		}
		q.seen[e.MessageDeduplicationId] = now
	}
	m := &message{id: id, body: e.MessageBody, group: e.MessageGroupId, attributes: e.MessageAttributes, visibleAt: now}
	if e.DelaySeconds != nil {
		m.visibleAt = now.Add(time.Duration(*e.DelaySeconds) * time.Second)
	}
	q.messages = append(q.messages, m)
	s.wake()
	return id, nil
}

// batch does something with each entry, and tells how each went.
func (s *Server) batch(_ *queue, entries []entry, do func(entry) (map[string]any, error)) (any, error) {
	total, ids := 0, map[string]bool{}
	for _, e := range entries {
		total += len(e.MessageBody)
		ids[e.Id] = true
	}
	switch {
	case len(entries) == 0:
		return nil, &fault{"EmptyBatchRequest", "the batch request doesn't contain any entries"}
	case len(entries) > 10:
		return nil, &fault{"TooManyEntriesInBatchRequest", "the batch request contains more entries than permissible"}
	case len(ids) < len(entries):
		return nil, &fault{"BatchEntryIdsNotDistinct", "two or more batch entries in the request have the same Id"}
	case total > most:
		return nil, &fault{"BatchRequestTooLong", "the length of all the messages put together is more than the limit"}
	}
	successful, failed := []map[string]any{}, []map[string]any{}
	for _, e := range entries {
		out, err := do(e)
		if err != nil {
			f := err.(*fault)
			failed = append(failed, map[string]any{"Id": e.Id, "Code": f.code, "Message": f.message, "SenderFault": f.code != "ServiceUnavailable"})
			continue
		}
		out["Id"] = e.Id
		successful = append(successful, out)
	}
	return map[string]any{"Successful": successful, "Failed": failed}, nil
}

func (s *Server) remove(q *queue, handle string) error {
	for i, m := range q.messages {
		if m.handle != handle {
			continue
		}
		if q.fifo() && s.now().After(m.visibleAt) {
			return invalid("value %s for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired", handle)
		}
		q.messages = slices.Delete(q.messages, i, i+1)
		s.wake()
		return nil
	}
	return nil // a message that is gone is deleted again
}

// receive waits for messages as long as it was asked to.
func (s *Server) receive(r *http.Request, in request) (any, error) {
	over := time.After(time.Duration(in.WaitTimeSeconds) * time.Second)
	s.mu.Lock()
	s.requests["ReceiveMessage"]++
	s.mu.Unlock()
	for {
		s.mu.Lock()
		q, err := s.find(in.QueueUrl)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		found, nextAt := s.visible(q, in)
		changed, now := s.changed, s.now()
		s.mu.Unlock()
		if len(found) > 0 {
			return map[string]any{"Messages": found}, nil
		}
		var later <-chan time.Time
		if !nextAt.IsZero() {
			later = time.After(nextAt.Sub(now))
		}
		select {
		case <-over:
			return map[string]any{}, nil
		case <-r.Context().Done():
			return map[string]any{}, nil
		case <-changed:
		case <-later:
		}
	}
}

// visible takes messages that nobody works on, and tells when the next one may be.
func (s *Server) visible(q *queue, in request) (found []map[string]any, nextAt time.Time) {
	now, blocked := s.now(), map[string]bool{}
	hidden := 30 * time.Second // a queue's default
	if text := q.attributes["VisibilityTimeout"]; text != "" {
		hidden, _ = time.ParseDuration(text + "s")
	}
	if in.VisibilityTimeout != nil {
		hidden = time.Duration(*in.VisibilityTimeout) * time.Second
	}
	for _, m := range q.messages {
		if len(found) == max(in.MaxNumberOfMessages, 1) {
			break
		}
		if q.fifo() && blocked[m.group] {
			continue
		}
		if m.visibleAt.After(now) {
			blocked[m.group] = true
			if nextAt.IsZero() || m.visibleAt.Before(nextAt) {
				nextAt = m.visibleAt
			}
			continue
		}
		s.serial++
		m.received++
		m.handle, m.visibleAt = fmt.Sprintf("receipt-%d", s.serial), now.Add(hidden)
		out := map[string]any{
			"MessageId": m.id, "Body": m.body, "MD5OfBody": sum(m.body), "ReceiptHandle": m.handle,
			"Attributes": map[string]string{"ApproximateReceiveCount": fmt.Sprint(m.received)},
		}
		if len(m.attributes) > 0 && string(m.attributes) != "null" {
			out["MessageAttributes"] = m.attributes
		}
		found = append(found, out)
	}
	return found, nextAt
}
