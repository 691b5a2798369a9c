/**
 * The durable operation of records, as plain data.
 */
import type { Operation } from "@holdfast/agents/Operation"
import type { RecordConflict, Write } from "@holdfast/core/RecordStore"

/** What a unit of writes came to. */
export interface RecordsWritten {
  /** In the order of the writes; 0 for a removal. */
  readonly revisions: ReadonlyArray<number>
  /** How many batches have changed each collection of the unit, this one included. */
  readonly changes: ReadonlyMap<string, number>
}

/** Writes records, all or nothing. */
export interface WriteRecords extends Operation<"WriteRecords", RecordsWritten, RecordConflict> {
  readonly writes: ReadonlyArray<Write>
  readonly nowMillis: number
}

/** Makes a `WriteRecords`. All have one lane, since a unit may span collections: they are written as they came. */
export const writeRecords = (o: Omit<WriteRecords, "_tag" | "lane" | symbol>): WriteRecords => ({
  _tag: "WriteRecords",
  lane: "records",
  ...o
})
