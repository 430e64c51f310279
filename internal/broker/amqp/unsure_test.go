package amqp_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// BenchmarkUnsure compares ways to know, after a crash, how far publishing got: a mark
// every so many messages down the same channel, and transactions. It reports the
// speed as a share of plain confirms, measured in turn with it, and the most messages
// that were in the queue beyond the last mark after the connection was cut at any
// moment.
func BenchmarkUnsure(b *testing.B) {
	for _, kind := range []string{"classic", "quorum"} {
		for _, way := range []way{
			{"marks 1000", 1000, false},
			{"marks 250", 250, false},
			{"marks 100", 100, false},
			{"marks 50", 50, false},
			{"marks 20", 20, false},
			{"marks 10", 10, false},
			{"marks 1", 1, false},
			{"tx 1000", 1000, true},
			{"tx 50", 50, true},
		} {
			b.Run(kind+"/"+way.name, func(b *testing.B) { way.measure(b, kind) })
		}
	}
}

// A way marks progress after every so many messages, by a transaction or not.
type way struct {
	name  string
	every int
	tx    bool
}

// unsureMessages is how many messages one publishing is of.
const unsureMessages = 1000

func (w way) measure(b *testing.B, kind string) {
	channel := connect(b, serverURL(b))
	tasks, marks := unique("unsure"), unique("unsure-marks")
	for name, arguments := range map[string]amqp091.Table{
		tasks: {"x-queue-type": kind}, marks: {"x-queue-type": "classic", "x-max-length": int32(1)},
	} {
		if _, err := channel.QueueDeclare(name, true, false, false, false, arguments); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		for _, name := range []string{tasks, marks} {
			if _, err := channel.QueueDelete(name, false, false, false); err != nil {
				b.Error(err)
			}
		}
	})
	plain := &unsureLink{way: way{every: unsureMessages + 1}, tasks: tasks, marks: marks}
	marked := &unsureLink{way: w, tasks: tasks, marks: marks}
	plain.open(b)
	marked.open(b)
	var without, with []time.Duration
	for b.Loop() {
		for link, times := range map[*unsureLink]*[]time.Duration{plain: &without, marked: &with} {
			began := time.Now()
			if err := link.send(); err != nil {
				b.Fatal(err)
			}
			*times = append(*times, time.Since(began))
			purge(b, channel, tasks, marks)
		}
	}
	worst := 0
	for range 30 {
		worst = max(worst, w.cut(b, channel, tasks, marks, median(with)))
	}
	b.ReportMetric(float64(median(without))/float64(median(with)), "of-plain")
	b.ReportMetric(float64(worst), "unsure-at-most")
	b.ReportMetric(0, "ns/op")
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func purge(b *testing.B, channel *amqp091.Channel, queues ...string) {
	for _, name := range queues {
		if _, err := channel.QueuePurge(name, false); err != nil {
			b.Fatal(err)
		}
	}
}

// cut ends a connection while it publishes, and returns how many messages are in the
// queue beyond the last mark.
func (w way) cut(b *testing.B, channel *amqp091.Channel, tasks, marks string, length time.Duration) int {
	purge(b, channel, tasks, marks)
	link := &unsureLink{way: w, tasks: tasks, marks: marks}
	link.open(b)
	lock := unique("unsure-lock")
	if _, err := link.channel.QueueDeclare(lock, false, false, true, false, nil); err != nil {
		b.Fatal(err)
	}
	time.AfterFunc(time.Duration(rand.Int64N(int64(length))), func() { link.socket.Close() })
	_ = link.send() // as far as it gets
	for {           // until RabbitMQ has let go, and does nothing more for it
		other, err := link.other(b).QueueDeclare(lock, false, false, true, false, nil)
		if err == nil && other.Name == lock {
			break
		}
	}
	state, err := channel.QueueDeclarePassive(tasks, true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	mark, some, err := channel.Get(marks, true)
	if err != nil {
		b.Fatal(err)
	}
	told := 0
	if some {
		if told, err = strconv.Atoi(string(mark.Body)); err != nil {
			b.Fatal(err)
		}
	}
	return max(state.Messages-told, 0)
}

// An unsureLink is a connection that publishes in a way.
type unsureLink struct {
	way
	tasks, marks string

	socket     net.Conn
	connection *amqp091.Connection
	channel    *amqp091.Channel
	confirms   chan amqp091.Confirmation
}

func (l *unsureLink) open(b *testing.B) {
	b.Helper()
	connection, err := amqp091.DialConfig(serverURL(b), amqp091.Config{Dial: func(network, address string) (conn net.Conn, err error) {
		conn, err = net.Dial(network, address)
		l.socket = conn
		return conn, err
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { connection.Close() })
	l.connection = connection
	if l.channel, err = connection.Channel(); err != nil {
		b.Fatal(err)
	}
	if l.tx {
		err = l.channel.Tx()
	} else {
		l.confirms = l.channel.NotifyPublish(make(chan amqp091.Confirmation, 4*unsureMessages))
		err = l.channel.Confirm(false)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// other is a channel of a connection of its own, which an error may end.
func (l *unsureLink) other(b *testing.B) *amqp091.Channel {
	return connect(b, serverURL(b))
}

var unsureBody = bytes.Repeat([]byte("x"), 700)

// send publishes all messages, with a mark after every so many and at the end, and
// waits until RabbitMQ has them.
func (l *unsureLink) send() error {
	publish := func(queue string, body []byte, mode uint8) error {
		return l.channel.Publish("", queue, true, false, amqp091.Publishing{DeliveryMode: mode, Body: body})
	}
	sent := 0
	for i := 1; i <= unsureMessages; i++ {
		if err := publish(l.tasks, unsureBody, amqp091.Persistent); err != nil {
			return err
		}
		sent++
		if i%l.every == 0 || i == unsureMessages && l.every <= unsureMessages {
			if err := publish(l.marks, fmt.Append(nil, i), amqp091.Transient); err != nil {
				return err
			}
			sent++
			if l.tx {
				if err := l.channel.TxCommit(); err != nil {
					return err
				}
			}
		}
	}
	for ; !l.tx && sent > 0; sent-- {
		if _, open := <-l.confirms; !open {
			return amqp091.ErrClosed
		}
	}
	return nil
}
