import * as Memory from "@holdfast/agents/Memory"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import { commitLogSuite } from "./CommitLogSuite.ts"

commitLogSuite("Memory", Memory.layer, 150)
commitLogSuite("SQLite", Sqlite.layer({ filename: ":memory:" }), 25)
