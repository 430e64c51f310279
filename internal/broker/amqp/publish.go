package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/broker/outbox"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// fullPatience is how long a queue that refuses messages may keep what comes
// after them waiting. From then on they fail, until it takes one again: one full
// queue must not stop the others.
const fullPatience = 2 * time.Second

// stepMessages is how many places of a batch lie between two marks at most.
const stepMessages = 10

// progress is what this process knows of the messages of one batch, beyond the
// broker's mark.
type progress struct {
	seq   int64
	fates map[int]fate // by Message.Index

	last     celery.Mark // the last part that went out whole
	failures []celery.Failure
}

// A fate is what became of a message that was sent.
type fate int

const (
	unknown  fate = iota // not sent, or its connection broke before the confirm
	taken                // confirmed
	refused              // certainly not taken: sent again, whatever the mark says
	hopeless             // a Failure
	adrift               // as unknown, of a message that goes at most once and was written
	unsure               // a Failure too: adrift, and the mark does not say that it arrived
)

// Publish sends the messages that the mark does not cover, and marks between them.
func (b *Broker) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	if err := b.acquire(ctx); err != nil {
		return nil, unpublished(ctx, err)
	}
	defer b.yield()
	if err := failpoint.Here("amqp.publish.before"); err != nil {
		return nil, unpublished(ctx, err)
	}
	if b.sent.fates == nil || b.sent.seq != part.Mark.Seq {
		b.sent = progress{seq: part.Mark.Seq, fates: make(map[int]fate, len(part.Messages))}
	}
	attempt := &attempt{Broker: b, part: part, reasons: map[int]string{}}
	for {
		err := attempt.run(ctx)
		if err == nil {
			return attempt.finish(), nil
		}
		if errors.Is(err, celery.ErrFenced) {
			return nil, celery.ErrFenced
		}
		if !attempt.blame(err) {
			return nil, unpublished(ctx, err)
		}
	}
}

func unpublished(ctx context.Context, err error) error {
	var lost *lostError
	return &celery.PublishError{
		Unsure: errors.As(err, &lost) && lost.unconfirmed > 0,
		Err:    fmt.Errorf("rabbitmq: %w", reason(ctx, err)),
	}
}

// An attempt is one call of Publish.
type attempt struct {
	*Broker
	part    celery.Part
	tells   celery.Mark    // the part's mark, which notes what is not sent
	reasons map[int]string // of messages that are hopeless, by Message.Index
	fresh   []celery.Message

	// careful sends one message at a time, to find out which one RabbitMQ closes the
	// channel for; suspect is the one under way then.
	careful bool
	suspect *celery.Message

	again bool // some of the part went out in an earlier attempt
}

// step is the mark that tells of the first done slots of the batch. If the part
// goes out again, any behind it may have arrived before.
func (a *attempt) step(done int) celery.Mark {
	step := a.tells
	step.Done = done
	if a.again {
		step.Beyond = a.part.Mark.Done - done
	}
	return step
}

// run sends what is left of the part over one link.
func (a *attempt) run(ctx context.Context) error {
	l, err := a.hold(ctx, a.part.Mark.Term)
	if err != nil {
		return err
	}
	if a.sent.last == a.part.Mark {
		return nil
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	if err := l.takesNone(); err != nil {
		return err
	}
	todo, err := a.left(l)
	if err != nil {
		return l.why(err)
	}
	if len(todo) == 0 && a.told() {
		return nil
	}
	f := &flight{link: l, base: l.published}
	if err := a.send(ctx, f, todo); err != nil {
		return err
	}
	if returned := f.returned; len(returned) > 0 {
		if err := a.sendReturned(ctx, f, returned); err != nil {
			return err
		}
	}
	if err := a.refusal(ctx, f); err != nil {
		return err
	}
	if !a.noted() { // what came back, or was refused, after the mark had gone out
		if err := a.send(ctx, f, nil); err != nil {
			return err
		}
	}
	a.mark = a.tells
	// What the channel was told is enough for Publish; this is for a crash of
	// RabbitMQ, and its confirm is not waited for.
	_, err = l.write(a.queues.marks, a.tells, amqp091.Persistent)
	return err
}

// left is the messages that have to be sent: neither with the broker, nor hopeless.
func (a *attempt) left(l *link) ([]celery.Message, error) {
	var todo []celery.Message
	for _, m := range a.part.Messages {
		a.again = a.again || a.sent.fates[m.Index] != unknown
		if a.arrived(m.Index) || a.reasons[m.Index] != "" {
			continue
		}
		if fate := a.sent.fates[m.Index]; fate == unsure || fate == adrift && m.Index-a.behind() < a.mark.Beyond {
			a.sent.fates[m.Index], a.reasons[m.Index] = unsure, "its connection broke before RabbitMQ confirmed it"
			continue
		}
		reason := overlong(m)
		if reason == "" {
			var err error
			if reason, err = a.reach(l, m.Template.Route()); err != nil {
				return nil, err
			}
		}
		if reason != "" {
			a.fail(m, reason)
			continue
		}
		todo = append(todo, m)
	}
	return todo, nil
}

// overlong is why AMQP cannot carry a message, "" if it can: its short texts end at 255 bytes, and the client
// gives the connection up for a longer one.
func overlong(m celery.Message) (reason string) {
	route, p := m.Template.Route(), m.Template.Properties(m)
	return cmp.Or(
		tooLong("exchange", route.Exchange), tooLong("routing key", route.RoutingKey),
		tooLong("correlation_id", p.CorrelationID), tooLong("reply_to", p.ReplyTo),
	)
}

// tooLong is overlong of one short text.
func tooLong(what, text string) string {
	if len(text) <= math.MaxUint8 {
		return ""
	}
	return fmt.Sprintf("%s %.40q… has %d bytes, and AMQP takes 255 bytes at most", what, text, len(text))
}

// told says whether the broker's mark tells of the part, and of what is not sent of it.
func (a *attempt) told() bool {
	mark := &a.part.Mark
	a.tells = a.mark
	return a.mark.Covers(mark.Seq, mark.Done) && (a.mark.Seq > mark.Seq || a.mark.Done > mark.Done || a.noted())
}

// noted says whether the mark that was written last notes all that is not sent.
func (a *attempt) noted() bool { return a.tells.Note == a.part.Noting(a.failures()).Note }

// behind is how many slots of the batch the broker's mark speaks of.
func (a *attempt) behind() int {
	if a.mark.Seq == a.part.Mark.Seq {
		return a.mark.Done
	}
	return 0
}

// arrived reports whether the broker has a message: as its confirm said, else as
// the mark does.
func (a *attempt) arrived(index int) bool {
	switch a.sent.fates[index] {
	case taken:
		return true
	case refused, hopeless, unsure:
		return false
	}
	return a.mark.Covers(a.part.Mark.Seq, index+1)
}

func (a *attempt) fail(m celery.Message, reason string) {
	a.sent.fates[m.Index] = hopeless
	a.reasons[m.Index] = reason
}

// send writes messages and marks, many at a time, and waits for all confirms.
func (a *attempt) send(ctx context.Context, f *flight, todo []celery.Message) error {
	a.tells = a.part.Noting(a.failures())
	told := a.behind()
	f.messages = slices.Grow(f.messages, len(todo)+len(todo)/stepMessages+2) // and the marks
	for i, m := range todo {
		if i == len(todo)/2 && i > 0 {
			if err := failpoint.Here("amqp.publish.middle"); err != nil {
				return a.lost(f, err)
			}
		}
		if m.Index-told >= stepMessages {
			if err := f.write(a.queues.steps, a.step(m.Index), amqp091.Transient); err != nil {
				return a.lost(f, err)
			}
			told = m.Index
		}
		message := publishing(m, f.link.headers)
		if reason := f.link.tooLarge(message); reason != "" {
			a.fail(m, reason)
			continue
		}
		if a.careful {
			a.suspect = &todo[i]
		}
		f.link.socket.hold() // until await
		if err := f.publish(m, message); err != nil {
			return a.lost(f, err)
		}
		limit := window
		switch {
		case a.careful:
			limit = 0
		case f.outstanding() > window:
			limit = window / 2 // so that many go out together again
		}
		if err := f.await(ctx, limit); err != nil {
			return a.lost(f, err)
		}
		a.suspect = nil
	}
	if err := failpoint.Here("amqp.mark.before"); err != nil {
		return a.lost(f, err)
	}
	if err := f.write(a.queues.steps, a.tells, amqp091.Transient); err != nil {
		return a.lost(f, err)
	}
	if err := failpoint.Here("amqp.confirm.before"); err != nil {
		return a.lost(f, err)
	}
	if err := f.await(ctx, 0); err != nil {
		return a.lost(f, err)
	}
	a.note(f)
	if err := failpoint.Here("amqp.confirm.after"); err != nil {
		return a.lost(f, err)
	}
	return nil
}

// note keeps the fates of a flight's messages, and forgets the flight's.
func (a *attempt) note(f *flight) {
	for i := range f.messages {
		m := &f.messages[i]
		if m.mark {
			continue
		}
		if m.fate == unknown {
			if m.message.Template.AtMostOnce() {
				a.sent.fates[m.message.Index] = adrift
			}
			continue
		}
		a.sent.fates[m.message.Index] = m.fate
		if m.fate == taken {
			a.fresh = append(a.fresh, m.message)
			delete(a.full, m.message.Template.Route().Queue)
		}
	}
	f.messages = nil
}

// lost gives up the link after an error, and keeps what was confirmed before.
func (a *attempt) lost(f *flight, err error) error {
	unconfirmed := f.outstanding()
	a.note(f)
	a.disconnect()
	var told *amqp091.Error
	if errors.As(f.link.cause, &told) && told.Server {
		err = told // rather than what the client made of it
	}
	return &lostError{unconfirmed, f.link.why(err)}
}

// A lostError is a link that was lost with messages unconfirmed.
type lostError struct {
	unconfirmed int
	err         error
}

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// sendReturned sends messages again that no queue took though it exists, after
// declaring what Celery would, if that is wanted.
func (a *attempt) sendReturned(ctx context.Context, f *flight, returned []celery.Message) error {
	if err := a.stepBack(f); err != nil {
		return err
	}
	var again []celery.Message
	for _, m := range returned {
		route := m.Template.Route()
		delete(f.link.known, route.Exchange+"\x00"+route.RoutingKey)
		reason, err := a.declare(f.link, route)
		if err != nil {
			return a.lost(f, err)
		}
		if reason != "" {
			a.fail(m, reason)
			continue
		}
		again = append(again, m)
	}
	f.returned = nil
	if err := a.send(ctx, f, again); err != nil {
		return err
	}
	for _, m := range f.returned {
		a.fail(m, missing(m.Template.Route()))
	}
	return nil
}

// refusal is an error if a message was not taken that may be soon.
func (a *attempt) refusal(ctx context.Context, f *flight) error {
	var queues []string
	for _, m := range a.part.Messages {
		if a.sent.fates[m.Index] != refused || a.reasons[m.Index] != "" {
			continue
		}
		queue := m.Template.Route().Queue
		if a.full[queue].IsZero() {
			a.full[queue] = time.Now()
		}
		if time.Since(a.full[queue]) > fullPatience {
			a.fail(m, fmt.Sprintf("queue %q is full and refuses messages", queue))
			continue
		}
		queues = append(queues, queue)
	}
	if queues == nil {
		return nil
	}
	if err := a.stepBack(f); err != nil {
		return err
	}
	if err := f.await(ctx, 0); err != nil {
		return a.lost(f, err)
	}
	slices.Sort(queues)
	return fmt.Errorf("%q refused %d of the messages: a queue is full", slices.Compact(queues), len(queues))
}

// stepBack takes the mark back to before the first message that was not taken:
// marks go out before confirms are in.
func (a *attempt) stepBack(f *flight) error {
	done := a.part.Mark.Done
	for _, m := range a.part.Messages {
		if a.sent.fates[m.Index] == refused && a.reasons[m.Index] == "" {
			done = m.Index
			break
		}
	}
	a.again = true
	if err := f.write(a.queues.steps, a.step(done), amqp091.Transient); err != nil {
		return a.lost(f, err)
	}
	return nil
}

// finish ends a part that went out, and returns what it could not send.
func (a *attempt) finish() []celery.Failure {
	if a.sent.last == a.part.Mark {
		return a.sent.failures
	}
	a.sent.last, a.sent.failures = a.part.Mark, a.failures()
	if a.part.Events {
		a.events.Put(a.fresh, time.Now())
	}
	return a.sent.failures
}

// failures are the messages that are not sent, as far as that is known.
func (a *attempt) failures() (failures []celery.Failure) {
	if len(a.reasons) == 0 {
		return nil
	}
	for _, m := range a.part.Messages {
		if reason := a.reasons[m.Index]; reason != "" {
			failures = append(failures, celery.Failure{Index: m.Index, Reason: reason, Unsure: a.sent.fates[m.Index] == unsure})
		}
	}
	return failures
}

// blame finds out whether a message made RabbitMQ close the channel, so that the
// others of the part can go without it. It reports whether to run again.
func (a *attempt) blame(err error) bool {
	var closed *amqp091.Error
	if !errors.As(err, new(*lostError)) || !errors.As(err, &closed) || !closed.Server {
		return false
	}
	switch closed.Code {
	case amqp091.ContentTooLarge, amqp091.AccessRefused, amqp091.NotFound, amqp091.PreconditionFailed, amqp091.FrameError, amqp091.SyntaxError:
	default:
		return false
	}
	if !a.careful {
		a.careful = true
		return true
	}
	if a.suspect == nil {
		return false
	}
	a.fail(*a.suspect, closed.Reason)
	a.suspect = nil
	return true
}

// A flight is messages on their way over a link.
type flight struct {
	link     *link
	base     uint64 // delivery tag before the first of messages
	messages []flying
	answered int // how many of messages have their confirm
	returned []celery.Message
}

// A flying message has been written. Marks fly too.
type flying struct {
	message celery.Message
	mark    bool
	fate    fate
	confirm *amqp091.DeferredConfirmation
}

func (f *flight) outstanding() int { return len(f.messages) - f.answered }

func (f *flight) add(m flying) *flying {
	if len(f.messages) == 0 {
		f.base, f.answered = f.link.published, 0
	}
	f.messages = append(f.messages, m)
	return &f.messages[len(f.messages)-1]
}

func (f *flight) write(queue string, mark celery.Mark, mode uint8) error {
	m := f.add(flying{mark: true})
	var err error
	m.confirm, err = f.link.write(queue, mark, mode)
	return err
}

func (f *flight) publish(m celery.Message, message amqp091.Publishing) error {
	flies := f.add(flying{message: m})
	route := m.Template.Route()
	var err error
	flies.confirm, err = f.link.publish(route.Exchange, route.RoutingKey, message)
	return err
}

// tooLarge is why RabbitMQ would not read a message, "" if it will: all that comes before the body is one frame. It closes the
// connection for a larger one, without reading the rest, so that what it says of it may be lost, with what else is on its way.
func (l *link) tooLarge(m amqp091.Publishing) (reason string) {
	const others = 64 // bytes of a frame that are no text, at most
	bytes := others + fieldBytes(m.Headers)
	for _, text := range [...]string{m.ContentType, m.ContentEncoding, m.CorrelationId, m.ReplyTo, m.Expiration, m.MessageId} {
		bytes += len(text)
	}
	if most := l.connection.Config.FrameSize; most > 0 && bytes > most {
		return fmt.Sprintf("the headers have %d bytes, and RabbitMQ takes %d at most (its frame_max): give large values as arguments", bytes, most)
	}
	return ""
}

// fieldBytes is how many bytes the client writes for a value of a header.
func fieldBytes(value any) (n int) {
	switch v := value.(type) {
	case amqp091.Table:
		n = 5
		for key, value := range v {
			n += 1 + len(key) + fieldBytes(value)
		}
	case []any:
		n = 5
		for _, value := range v {
			n += fieldBytes(value)
		}
	case string:
		n = 5 + len(v)
	case nil:
		n = 1
	case bool:
		n = 2
	default: // a number
		n = 9
	}
	return n
}

// publishing is a message as the client takes it, with these headers, which become the message's: the client has written
// them when it returns.
func publishing(m celery.Message, headers amqp091.Table) amqp091.Publishing {
	p := m.Template.Properties(m)
	m.Template.FillHeaders(headers, m)
	for key, value := range headers {
		switch value.(type) {
		case map[string]any, []any:
			headers[key] = tableValue(value)
		}
	}
	return amqp091.Publishing{
		Headers:         headers,
		ContentType:     p.ContentType,
		ContentEncoding: p.ContentEncoding,
		DeliveryMode:    p.DeliveryMode,
		Priority:        p.Priority,
		CorrelationId:   p.CorrelationID,
		ReplyTo:         p.ReplyTo,
		Expiration:      p.Expiration,
		MessageId:       m.ID, // finds the message that was returned
		Body:            m.Template.Body(),
	}
}

// await waits until no more than limit messages lack their confirm. It sends what is held back
// first, if it has to wait.
func (f *flight) await(ctx context.Context, limit int) error {
	if f.outstanding() <= limit {
		return nil
	}
	if err := f.link.socket.flush(); err != nil {
		return err
	}
	for f.outstanding() > limit {
		select {
		case confirm, open := <-f.link.confirms:
			if !open {
				<-f.link.broken
				return f.link.cause
			}
			if err := f.settle(confirm); err != nil {
				return err
			}
		case <-ctx.Done():
			f.link.cut()
			return ctx.Err()
		}
	}
	return nil
}

// settle takes a confirm. A return comes before the confirm of its message.
func (f *flight) settle(confirm amqp091.Confirmation) error {
	if confirm.DeliveryTag <= f.base {
		return nil // of the last part's lasting mark
	}
	if err := f.takeReturns(); err != nil {
		return err
	}
	m := &f.messages[confirm.DeliveryTag-f.base-1]
	f.answered++
	acked := m.confirm.Acked()
	switch {
	case !acked && m.mark:
		return errors.New("onebeat's own queue refused a mark")
	case !acked:
		m.fate = refused
	case m.fate == unknown:
		m.fate = taken
	}
	return nil
}

// takeReturns reads the returns that are there. A return comes before the confirm
// of its message, which is an ack all the same. Confirms may be left to be read when the
// connection has ended, and with it the returns.
func (f *flight) takeReturns() error {
	for {
		select {
		case returned, open := <-f.link.returns:
			if !open {
				return nil
			}
			if returned.MessageId == markID {
				return errors.New("onebeat's own queue was deleted")
			}
			for i := range f.messages {
				if m := &f.messages[i]; m.message.ID == returned.MessageId && m.fate == unknown {
					m.fate = refused
					f.returned = append(f.returned, m.message)
				}
			}
		default:
			return nil
		}
	}
}

// eventsAgain is how long after a channel of events was made another is at the soonest.
const eventsAgain = time.Second

// sendEvents publishes a task-sent event of each message, on a channel of its own. One that RabbitMQ
// closed, as where their exchange is another or gone, is made anew for the next.
func (b *Broker) sendEvents(ctx context.Context, sent outbox.Sent) error {
	if err := failpoint.Here("event.before"); err != nil {
		return err
	}
	l := b.current()
	if l == nil || l.blocked.Load() != nil {
		return errors.New("not connected")
	}
	if l.events == nil || l.events.IsClosed() {
		if time.Since(l.eventsAt) < eventsAgain { // RabbitMQ logs each that it closes
			return errors.New("the channel of events was closed")
		}
		l.events, l.eventsAt = nil, time.Now()
		channel, err := l.connection.Channel()
		if err != nil {
			return err
		}
		if err := channel.ExchangeDeclare(b.options.Exchanges.Events(), "topic", true, false, false, false, nil); err != nil {
			return err
		}
		l.events = channel
	}
	for _, m := range sent.Messages {
		err := l.events.Publish(b.options.Exchanges.Events(), "task.sent", false, false, amqp091.Publishing{
			Headers:         amqp091.Table{"hostname": b.options.Node},
			ContentType:     "application/json",
			ContentEncoding: "utf-8",
			DeliveryMode:    amqp091.Transient,
			Body:            m.Template.AppendEvent(nil, m, b.options.Node, os.Getpid(), sent.At),
		})
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return failpoint.Here("event.after")
}
