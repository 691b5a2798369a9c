export * as ProcessMarker from "./ProcessMarker.ts"
export * as ProcessTable from "./ProcessTable.ts"
export * as SystemCommand from "./SystemCommand.ts"
