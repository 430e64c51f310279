package sqs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/broker/virtual"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// The bounds of a batch: messages, and bytes of all of them (which SQS has raised to
// a MiB since; one longer message goes alone).
const (
	batchMost  = 10
	batchBytes = 256 << 10
)

// together is how many requests are under way at a time. Those of a FIFO queue go
// one after another, to keep their order.
const together = 16

// A parcel is a message made ready for a queue.
type parcel struct {
	index int
	entry types.SendMessageBatchRequestEntry
	fifo  bool
	once  bool // it goes at most once
}

// A postbag is the parcels for one queue, in order.
type postbag struct {
	queue, url string
	parcels    []parcel
	reason     string // why the queue takes nothing
}

// Publish sends a part in batches, and then its mark.
func (b *Broker) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	if err := failpoint.Here("sqs.publish.before"); err != nil {
		return nil, &celery.PublishError{Err: err}
	}
	failures, unsure, err := b.publish(ctx, part)
	if err == nil {
		err = failpoint.Here("sqs.publish.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return nil, celery.ErrFenced
	}
	if err != nil {
		return nil, &celery.PublishError{Unsure: unsure, Err: fmt.Errorf("sqs: %w", err)}
	}
	return failures, nil
}

func (b *Broker) publish(ctx context.Context, part celery.Part) (failures []celery.Failure, unsure bool, err error) {
	if err := b.look(ctx); err != nil {
		return nil, false, err
	}
	if b.mark.Term > part.Mark.Term {
		return nil, false, celery.ErrFenced
	}
	messages, covered := virtual.Rest(b.mark, part)
	if covered {
		if b.batch.last == part.Mark {
			return b.failures(part.Messages), false, nil
		}
		return nil, false, nil
	}
	if b.batch.seq != part.Mark.Seq || b.batch.taken == nil {
		b.batch = progress{seq: part.Mark.Seq, taken: map[int]bool{}, failed: map[int]string{}, unsure: map[int]bool{}}
	}
	bags, err := b.pack(ctx, messages)
	if err != nil {
		return nil, false, err
	}
	if unsure, err = b.post(ctx, bags); err != nil {
		return nil, unsure, err
	}
	if err := failpoint.Here("sqs.publish.sent"); err != nil {
		return nil, false, err
	}
	failures = b.failures(messages)
	b.batch.last = part.Mark // the answer to what writes it may be lost
	if err := b.keep(ctx, part.Noting(failures)); err != nil {
		return nil, false, err
	}
	return failures, false, nil
}

// failures are those of messages that SQS never takes.
func (b *Broker) failures(messages []celery.Message) (failures []celery.Failure) {
	for _, m := range messages {
		if reason, failed := b.batch.failed[m.Index]; failed {
			failures = append(failures, celery.Failure{Index: m.Index, Reason: reason, Unsure: b.batch.unsure[m.Index]})
		}
	}
	return failures
}

// pack sorts messages by queue, but for those that SQS has taken already.
func (b *Broker) pack(ctx context.Context, messages []celery.Message) ([]*postbag, error) {
	var bags []*postbag
	known := map[string]*postbag{}
	for _, m := range messages {
		if b.batch.taken[m.Index] || b.batch.failed[m.Index] != "" {
			continue
		}
		route := m.Template.Route()
		queues := virtual.Queues(route, virtual.Bindings(route))
		if len(queues) == 0 || route.ExchangeType == "fanout" {
			b.batch.failed[m.Index] = virtual.Unbound(route)
			continue
		}
		name := b.target.canonical(queues[0])
		bag := known[name]
		if bag == nil {
			attributes := b.target.attributes
			if strings.HasSuffix(name, ".fifo") {
				attributes = map[string]string{"FifoQueue": "true"}
				for key, value := range b.target.attributes {
					attributes[key] = value
				}
			}
			url, _, err := b.find(ctx, name, attributes, b.declare)
			bag = &postbag{queue: name, url: url, reason: refusedFor(name, err)}
			if err != nil && bag.reason == "" {
				return nil, fmt.Errorf("find queue %s: %w", name, err)
			}
			if url == "" && bag.reason == "" {
				bag.reason = b.lacking(name)
			}
			known[name] = bag
			bags = append(bags, bag)
		}
		if bag.reason != "" {
			b.batch.failed[m.Index] = bag.reason
			continue
		}
		p, err := b.parcel(m, strings.HasSuffix(name, ".fifo"))
		if err != nil {
			return nil, err
		}
		bag.parcels = append(bag.parcels, p)
	}
	return bags, nil
}

// lacking is why a queue that is not there takes nothing.
func (b *Broker) lacking(name string) string {
	if b.target.predefined != nil {
		return fmt.Sprintf("queue %s is not among predefined_queues in broker_transport_options", name)
	}
	return fmt.Sprintf("queue %s does not exist: start the worker that reads it, or let onebeat make it with --declare", name)
}

// ofOneQueue are what SQS says where it refuses what is asked of a queue, and may do what is asked
// of another: rights, and names and attributes that no queue can have. Some end in Exception as well, by the protocol.
var ofOneQueue = []string{
	"AccessDenied", "InvalidAddress", "InvalidAttributeName", "InvalidAttributeValue", "InvalidParameterValue",
	"QueueDeletedRecently", "UnsupportedOperation",
}

// refusedFor is why SQS refuses a queue, "" if that is not what the error says: one queue must not
// stop the others. Keys of AWS's KMS are a queue's own too.
func refusedFor(queue string, err error) (reason string) {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		return ""
	}
	code := strings.TrimSuffix(refusal.ErrorCode(), "Exception")
	ofKMS := strings.HasPrefix(strings.ToUpper(code), "KMS") && !throttled(code)
	if !ofKMS && !slices.Contains(ofOneQueue, code) {
		return ""
	}
	return fmt.Sprintf("SQS refuses the queue %s: %s: %s", queue, code, oneLine(refusal.ErrorMessage()))
}

// properties are those of a message's properties that SQS itself takes.
type properties struct {
	MessageGroupId, MessageDeduplicationId string
	DelaySeconds                           *float64
	DelaySecondsToo                        *float64 `json:"delay_seconds"`
	Attributes                             map[string]struct {
		DataType    string
		StringValue *string
	} `json:"message_attributes"`
}

// A word in an envelope without which it has no properties for SQS.
var marksOfProperties = [][]byte{[]byte(`"MessageGroupId"`), []byte(`"MessageDeduplicationId"`), []byte(`elay`), []byte(`"message_attributes"`)}

// parcel makes a message ready.
func (b *Broker) parcel(m celery.Message, fifo bool) (parcel, error) {
	envelope, err := virtual.Envelope(nil, m)
	if err != nil {
		return parcel{}, err
	}
	var p properties
	if slices.ContainsFunc(marksOfProperties, func(mark []byte) bool { return bytes.Contains(envelope, mark) }) {
		// A property of another type is none, as what kombu cannot read is.
		_ = json.Unmarshal(envelope, &struct{ Properties *properties }{&p})
	}
	body := string(envelope)
	if b.target.base64 {
		body = base64.StdEncoding.EncodeToString(envelope)
	}
	e := types.SendMessageBatchRequestEntry{MessageBody: aws.String(body)}
	if p.MessageGroupId != "" {
		e.MessageGroupId = aws.String(p.MessageGroupId)
	}
	if delay := p.DelaySecondsToo; delay != nil || p.DelaySeconds != nil {
		if delay == nil {
			delay = p.DelaySeconds
		}
		if *delay >= 0 && !fifo { // a FIFO queue takes none
			e.DelaySeconds = int32(min(*delay, 900))
		}
	}
	if fifo {
		e.MessageDeduplicationId = aws.String(cmp.Or(p.MessageDeduplicationId, m.ID))
		if e.MessageGroupId == nil {
			e.MessageGroupId = aws.String("default") // kombu's
		}
	}
	for name, value := range p.Attributes {
		if e.MessageAttributes == nil {
			e.MessageAttributes = map[string]types.MessageAttributeValue{}
		}
		e.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String(value.DataType), StringValue: value.StringValue}
	}
	return parcel{index: m.Index, entry: e, fifo: fifo, once: m.Template.AtMostOnce()}, nil
}

// post sends all bags, and notes what was taken and what never will be. It is unsure
// if a request to a standard queue had no answer.
func (b *Broker) post(ctx context.Context, bags []*postbag) (unsure bool, err error) {
	var mu sync.Mutex
	var group errgroup.Group // its errors are in faults
	group.SetLimit(together)
	var faults []error
	send := func(bag *postbag, batch []parcel) error { // and note what came of it
		result, err := b.send(ctx, bag, batch)
		mu.Lock()
		defer mu.Unlock()
		for i, p := range batch {
			if result.taken[i] {
				b.batch.taken[p.index] = true
			} else if result.failed[i] != "" {
				b.batch.failed[p.index] = result.failed[i]
			} else if err != nil && result.unsure && p.once && !p.fifo {
				b.batch.failed[p.index], b.batch.unsure[p.index] = "its request to SQS had no answer", true
			}
		}
		if err != nil {
			unsure = unsure || result.unsure && !batch[0].fifo
			faults = append(faults, err)
		}
		return err
	}
	for _, bag := range bags {
		batches := split(bag.parcels)
		if strings.HasSuffix(bag.queue, ".fifo") {
			group.Go(func() error {
				for _, batch := range batches {
					if send(bag, batch) != nil {
						return nil // what follows must not overtake it
					}
				}
				return nil
			})
			continue
		}
		for _, batch := range batches {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				_ = send(bag, batch) // noted there
				return nil
			})
		}
	}
	_ = group.Wait()
	if len(faults) == 0 {
		return false, ctx.Err()
	}
	for _, bag := range bags {
		b.forget(bag.queue, faults[0])
	}
	return unsure, faults[0]
}

// split cuts parcels into batches.
func split(parcels []parcel) (batches [][]parcel) {
	start, size := 0, 0
	for i, p := range parcels {
		n := len(aws.ToString(p.entry.MessageBody))
		if i > start && (i-start == batchMost || size+n > batchBytes) {
			batches = append(batches, parcels[start:i])
			start, size = i, 0
		}
		size += n
	}
	if start < len(parcels) {
		batches = append(batches, parcels[start:])
	}
	return batches
}

// A result is what came of a batch, by place in it.
type result struct {
	taken  [batchMost]bool
	failed [batchMost]string
	unsure bool // the request may have been carried out
}

// send sends one batch.
func (b *Broker) send(ctx context.Context, bag *postbag, batch []parcel) (r result, err error) {
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err := failpoint.Here("sqs.batch.before"); err != nil {
		return r, err
	}
	entries := make([]types.SendMessageBatchRequestEntry, len(batch))
	for i, p := range batch {
		entries[i] = p.entry
		entries[i].Id = aws.String(strconv.Itoa(i))
	}
	out, err := b.of(bag.queue).SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(bag.url), Entries: entries})
	if err != nil {
		var refusal smithy.APIError
		r.unsure = !errors.As(err, &refusal) || refusal.ErrorFault() == smithy.FaultServer
		reason := refusedFor(bag.queue, err)
		if absent(err) {
			reason = b.lacking(bag.queue)
		}
		if reason != "" {
			for i := range batch {
				r.failed[i] = reason
			}
			return r, nil
		}
		if len(batch) == 1 && refusal != nil && refusal.ErrorCode() == "BatchRequestTooLong" {
			r.failed[0] = oneLine(refusal.ErrorMessage())
			return r, nil
		}
		return r, fmt.Errorf("send to queue %s: %w", bag.queue, err)
	}
	for _, done := range out.Successful {
		if i, err := strconv.Atoi(aws.ToString(done.Id)); err == nil && i >= 0 && i < len(batch) {
			r.taken[i] = true
		}
	}
	for _, failed := range out.Failed {
		i, convErr := strconv.Atoi(aws.ToString(failed.Id))
		if convErr != nil || i < 0 || i >= len(batch) {
			continue
		}
		text := fmt.Sprintf("queue %s refuses the message: %s: %s", bag.queue, aws.ToString(failed.Code), oneLine(aws.ToString(failed.Message)))
		if failed.SenderFault && !throttled(aws.ToString(failed.Code)) {
			r.failed[i] = text
			continue
		}
		err = errors.New(text)
	}
	for i := range batch {
		if err == nil && !r.taken[i] && r.failed[i] == "" {
			r.unsure = true
			err = fmt.Errorf("queue %s did not say what became of a message", bag.queue)
		}
	}
	if err == nil {
		err = failpoint.Here("sqs.batch.after")
	}
	return r, err
}

func throttled(code string) bool {
	return strings.Contains(code, "Throttl") || code == "ServiceUnavailable" || code == "OverLimit"
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
