/** A mistake in how the hub is used; `code` is stable. */
export class HubError extends Error {
    /**
     * @param {'InvalidTable' | 'InvalidEvents' | 'InvalidFilter' | 'InvalidCallback' | 'NameTaken'
     *   | 'NoSuchHub' | 'Refused'} code
     * @param {string} message
     */
    constructor(code: "InvalidTable" | "InvalidEvents" | "InvalidFilter" | "InvalidCallback" | "NameTaken" | "NoSuchHub" | "Refused", message: string);
    code: "InvalidTable" | "InvalidEvents" | "InvalidFilter" | "InvalidCallback" | "NameTaken" | "NoSuchHub" | "Refused";
}
