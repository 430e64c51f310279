package chaos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/test/harness"
)

// An arrival is a message that was taken off its queue, or that a worker ran.
type arrival struct {
	entry string
	slot  time.Time
	id    string
	edit  int       // the number of the definition that it was made from
	at    time.Time // when it was taken
	again bool      // the broker says that it had handed it out before
}

// A consumer takes what arrives on the queue for volume, each message once and none
// twice, also when the broker goes away in the middle.
type consumer struct {
	read func(text string, at time.Time) (arrival, error) // a message as kombu keeps it in a list

	mu    sync.Mutex
	taken []arrival
	fault error // a message that can't be read
}

// all returns what was taken so far.
func (c *consumer) all() ([]arrival, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken[:len(c.taken):len(c.taken)], c.fault
}

// await returns what was taken after the first so many, once that is as much as count and nothing more
// comes, or nothing more has come for a while.
func (c *consumer) await(t *testing.T, after, count int) (all []arrival) {
	t.Helper()
	came := time.Now()
	harness.Eventually(t, 5*time.Minute, func() error {
		before := len(all)
		now, err := c.all()
		if err != nil {
			return err
		}
		if all = now[after:]; len(all) > before {
			came = time.Now()
		}
		if still := time.Since(came); still < 300*time.Millisecond || len(all) < count && still < 30*time.Second {
			return fmt.Errorf("%d messages were taken of %d that the ledger has as sent", len(all), count)
		}
		return nil
	})
	return all
}

func (c *consumer) take(a arrival, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fault = err
		return
	}
	c.taken = append(c.taken, a)
}

// run takes messages until ctx ends; what the broker does meanwhile is no error.
func (c *consumer) run(ctx context.Context, kind, url string) {
	for ctx.Err() == nil {
		if kind == redis {
			c.ofRedis(ctx, url)
		} else {
			c.ofRabbitMQ(ctx, url)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// takeScript drops the messages that were seen and returns the next ones. How many
// were dropped is counted, so that it may be asked for twice.
var takeScript = rueidis.NewLuaScript(`
local dropped = tonumber(redis.call('GET', KEYS[2]) or '0')
local seen = tonumber(ARGV[1])
if seen > dropped then
	redis.call('LTRIM', KEYS[1], 0, dropped - seen - 1)
	redis.call('SET', KEYS[2], seen)
end
return redis.call('LRANGE', KEYS[1], -1000, -1)`)

func (c *consumer) ofRedis(ctx context.Context, url string) {
	option, err := rueidis.ParseURL(url)
	if err != nil {
		c.take(arrival{}, err)
		return
	}
	option.DisableCache, option.DisableRetry = true, true
	client, err := rueidis.NewClient(option)
	if err != nil {
		return
	}
	defer client.Close()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		all, _ := c.all()
		texts, err := takeScript.Exec(ctx, client, []string{volume, "chaos-dropped"}, []string{fmt.Sprint(len(all))}).AsStrSlice()
		if err != nil {
			return
		}
		now := time.Now()
		for i := len(texts) - 1; i >= 0; i-- { // the oldest is the last
			c.take(c.read(texts[i], now))
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// readRedis reads a message as kombu keeps it in a list.
func readRedis(text string, at time.Time) (arrival, error) {
	var envelope struct {
		Body    string
		Headers headers
	}
	if err := json.Unmarshal([]byte(text), &envelope); err != nil {
		return arrival{}, fmt.Errorf("read message: %w", err)
	}
	body, err := base64.StdEncoding.DecodeString(envelope.Body)
	if err != nil {
		return arrival{}, fmt.Errorf("read message: %w", err)
	}
	return read(envelope.Headers, body, at)
}

// headers are those of a task message that are looked at.
type headers struct {
	ID    string `json:"id"`
	Entry string `json:"periodic_task_name"`
	Slot  string `json:"onebeat_slot"`
}

func read(h headers, body []byte, at time.Time) (arrival, error) {
	slot, err := readSlot(h.Slot)
	if err != nil {
		return arrival{}, err
	}
	var parts []json.RawMessage // args, kwargs, and what they are embedded in
	var args []int
	if err := json.Unmarshal(body, &parts); err != nil || len(parts) != 3 || json.Unmarshal(parts[0], &args) != nil || len(args) != 1 {
		return arrival{}, fmt.Errorf("the body of a message of %s is %s", h.Entry, body)
	}
	return arrival{entry: h.Entry, slot: slot, id: h.ID, edit: args[0], at: at}, nil
}

// readSlot reads the header onebeat_slot.
func readSlot(text string) (time.Time, error) {
	slot, err := time.Parse("2006-01-02T15:04:05.000000+00:00", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("the header onebeat_slot is %q", text)
	}
	return slot.UTC(), nil
}

func (c *consumer) ofRabbitMQ(ctx context.Context, url string) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return
	}
	if err := declareVolume(channel); err != nil {
		return
	}
	if err := channel.Qos(500, 0, false); err != nil {
		return
	}
	deliveries, err := channel.ConsumeWithContext(ctx, volume, "", false, false, false, false, nil)
	if err != nil {
		return
	}
	for delivery := range deliveries {
		text := func(name string) string { value, _ := delivery.Headers[name].(string); return value }
		a, err := read(headers{text("id"), text("periodic_task_name"), text("onebeat_slot")}, delivery.Body, time.Now())
		a.again = delivery.Redelivered
		c.take(a, err)
		if delivery.Ack(false) != nil {
			return
		}
	}
}

// declareVolume makes the queue as Celery's workers would.
func declareVolume(channel *amqp.Channel) error {
	if err := channel.ExchangeDeclare(volume, "direct", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(volume, true, false, false, false, nil); err != nil {
		return err
	}
	return channel.QueueBind(volume, volume, volume, false, nil)
}
