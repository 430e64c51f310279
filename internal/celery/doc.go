// Package celery is everything that a Celery worker expects on the wire, as
// bytes. It does no I/O and reads no clock.
//
// Config is Celery's own settings. From a row, a Task, it makes a Template: all
// of the task's message that stays the same from one sending to the next. With
// a Message, which says what differs, a Template gives the message itself: an
// envelope for the virtual transports (Redis and the like), or headers,
// properties and a body for AMQP. Route says where it goes.
//
//   - A message is of protocol 2 and whole, as the beat of Celery 5.7 sends it for
//     a task that it knows by its name alone, with what the settings and
//     task_annotations say of the task. Workers from Celery 4 on run it.
//   - A row that would make a worker fail or lose its message gives no Template.
//   - Arguments are spliced in as the row wrote them. They are in no error.
//   - The same row under the same settings gives the same bytes.
//
// What differs from Celery on purpose is listed, and all else compared with
// Celery itself, in test/wire.
package celery
