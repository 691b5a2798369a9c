/**
 * A chat room and its members: what is said in a room, every member hears once, in the room's order.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** How many messages a room remembers, and a member of each room: the latest. */
export const historyMax = 100

/** Something that was said. `number` is its place in the room, from 1. */
export const Message = Schema.Struct({ number: Schema.Int, from: Schema.String, text: Schema.String })
export type Message = typeof Message.Type

/** Says that somebody spoke in a room without being in it; nobody has heard it. Remedy: join first. */
export class NotAMember extends Schema.TaggedError<NotAMember>()("NotAMember", {
  room: Schema.String,
  member: Schema.String
}) {
  override get message(): string {
    return `${this.member} is not in ${this.room}`
  }
}

const Messages = Schema.Array(Message)

const Named = { member: Schema.String }

/** Hears what is said in its rooms. Only rooms tell it `Heard`. */
export const Member = Agent.make("Member", {
  protocol: [
    Rpc.make("Heard", { payload: { room: Schema.String, messages: Messages } }),
    Rpc.make("Read", { payload: { room: Schema.String }, success: Messages })
  ],
  state: Schema.Struct({ heard: Schema.Record({ key: Schema.String, value: Messages }) }),
  initial: { heard: {} }
})

/**
 * Numbers what is said and tells it to its members, in the commit that remembers it. `Say` is known by its `id`: said again
 * after a crash, it is still said once. Who joins hears first what the room remembers.
 */
export const Room = Agent.make("Room", {
  protocol: [
    Rpc.make("Join", { payload: Named }),
    Rpc.make("Leave", { payload: Named }),
    Rpc.make("Say", {
      payload: { id: Schema.String, from: Schema.String, text: Schema.String },
      success: Schema.Int,
      error: NotAMember,
      primaryKey: ({ id }) => id
    }),
    Rpc.make("History", { success: Messages })
  ],
  state: Schema.Struct({ members: Schema.Array(Schema.String), said: Schema.Int, history: Messages }),
  initial: { members: [], said: 0, history: [] }
})

const members = Member.toLayer({
  Heard: ({ messages, room }, member) =>
    member.update(({ heard }) => {
      const before = heard[room] ?? []
      const last = before.at(-1)?.number ?? 0
      // Who left and came back has heard some of what the room remembers.
      const fresh = messages.filter(({ number }) => number > last)
      return { heard: { ...heard, [room]: latest([...before, ...fresh]) } }
    }),
  Read: ({ room }, member) => Effect.map(member.get, ({ heard }) => heard[room] ?? [])
})

const rooms = Room.toLayer({
  Join: ({ member }, room) =>
    Effect.gen(function*() {
      const state = yield* room.get
      if (state.members.includes(member)) return
      yield* room.set({ ...state, members: [...state.members, member] })
      yield* room.tell(Member, member).Heard({ room: room.self.id, messages: state.history })
    }),
  Leave: ({ member }, room) =>
    room.update((state) => ({ ...state, members: state.members.filter((other) => other !== member) })),
  Say: ({ from, text }, room) =>
    Effect.gen(function*() {
      const { history, members, said } = yield* room.get
      const { id } = room.self
      if (!members.includes(from)) return yield* new NotAMember({ room: id, member: from })
      const message = { number: said + 1, from, text }
      yield* room.set({ members, said: message.number, history: latest([...history, message]) })
      for (const member of members) yield* room.tell(Member, member).Heard({ room: id, messages: [message] })
      return message.number
    }),
  History: (_, room) => Effect.map(room.get, ({ history }) => history)
})

/** Handles the messages of rooms and members. */
export const layer = Layer.merge(rooms, members)

// internal

const latest = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => messages.slice(-historyMax)
