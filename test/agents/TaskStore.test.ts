import * as Memory from "@holdfast/agents/Memory"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import { taskStoreSuite } from "./TaskStoreSuite.ts"

taskStoreSuite("Memory", Memory.layer, 150)
taskStoreSuite("SQLite", Sqlite.layer({ filename: ":memory:" }), 25)
